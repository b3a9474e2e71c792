/**
 * One test run over the whole workspace: a project per package, and one for the scripts with the house rules.
 *
 * Packages import each other's sources here, so tests need no build before them. Files named `*.browser.test.ts` run in a real
 * Chromium, in a project of their own for each package that has some.
 */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { findBrowser } from './scripts/browser.ts'
import { publicEntries, root, workspacePackages } from './scripts/workspace.ts'

const IN_BROWSER = '**/*.browser.test.ts'
/** No test is about being quick: a machine with much else to do may take its time. */
const TEST_MS_MAX = 60_000

const { TIDEMARK_LARGE } = process.env

const sources = workspacePackages()
  .flatMap(publicEntries)
  .map(({ specifier, source }) => ({
    find: new RegExp(`^${specifier}$`),
    replacement: join(root, source),
  }))

const folders = [
  ...workspacePackages().map(({ folder, manifest }) => ({ folder, name: manifest.name })),
  { folder: 'scripts', name: 'scripts' },
]

export default defineConfig(async () => ({
  resolve: { alias: sources },
  test: {
    projects: [
      ...folders.map(({ folder, name }) => ({
        extends: true as const,
        root: join(root, folder),
        test: {
          name,
          include: ['**/*.test.ts'],
          exclude: ['**/node_modules/**', IN_BROWSER],
          testTimeout: TEST_MS_MAX,
        },
      })),
      ...(await inBrowser()),
    ],
  },
}))

/** `scripts/browser.ts` says aloud where there is no browser, and fails in CI. */
async function inBrowser(): Promise<TestProjectConfiguration[]> {
  const found = folders.filter(({ folder }) => globSync(`test/${IN_BROWSER}`, { cwd: join(root, folder) }).length > 0)
  const browser = found.length > 0 ? await findBrowser() : undefined
  if (browser === undefined) return []
  return found.map(({ folder, name }) => ({
    extends: true as const,
    root: join(root, folder),
    // Found when it is needed, a dependency would make the page start over in the middle of its tests.
    optimizeDeps: { include: ['idb'] },
    test: {
      include: [IN_BROWSER],
      testTimeout: TEST_MS_MAX,
      // Of the variables of this process a page sees those that it is given.
      env: TIDEMARK_LARGE === undefined ? {} : { TIDEMARK_LARGE },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: browser }),
        instances: [{ browser: 'chromium' as const, name: `${name} (chromium)` }],
      },
    },
  }))
}
