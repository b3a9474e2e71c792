/**
 * One test run over the whole workspace: a project per package, and one for the scripts with the house rules.
 *
 * Packages import each other's sources here, so tests need no build before them.
 */
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { publicEntries, root, workspacePackages } from './scripts/workspace.ts'

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

export default defineConfig({
  resolve: { alias: sources },
  test: {
    projects: folders.map(({ folder, name }) => ({
      extends: true,
      root: join(root, folder),
      test: { name, include: ['**/*.test.ts'] },
    })),
  },
})
