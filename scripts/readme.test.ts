/**
 * The first example of every package's README, and of each page in its `docs`, runs as it stands there, against the built
 * packages, and ends by itself.
 *
 * An example that needs a browser is fenced as `ts browser` and is run by its package's own tests.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, workspacePackages } from './workspace.ts'

const EXAMPLE_MS_MAX = 30_000

for (const { folder, manifest } of workspacePackages().filter(({ folder }) => folder.startsWith('packages/'))) {
  for (const page of ['README.md', ...globSync('docs/*.md', { cwd: join(root, folder) })]) {
    const example = /```ts( browser)?\n([\s\S]*?)```/.exec(readFileSync(join(root, folder, page), 'utf8'))

    test(`${manifest.name}: ${page} shows an example`, () => {
      expect(example?.[2] ?? '', `${folder}/${page}: show the smallest real example in a \`\`\`ts block`).not.toBe('')
    })

    if (example?.[2] !== undefined && example[1] === undefined)
      test(`${manifest.name}: the example of ${page} runs`, { timeout: EXAMPLE_MS_MAX + 5_000 }, () => {
        expect(existsSync(join(root, folder, 'dist')), `${folder} is not built: run \`pnpm build\` first`).toBe(true)
        const { status, stdout, stderr } = runExample(folder, example[2] as string)
        expect({ status, output: status === 0 ? '' : `${stdout}${stderr}` }).toEqual({ status: 0, output: '' })
      })
  }
}

/** Beside the built code, so that the package finds itself and what it depends on; removed again. */
function runExample(folder: string, code: string) {
  const file = join(root, folder, 'dist', `.example-${process.pid}.mjs`)
  try {
    writeFileSync(file, stripTypeScriptTypes(code))
    return spawnSync(process.execPath, [file], { cwd: tmpdir(), encoding: 'utf8', timeout: EXAMPLE_MS_MAX })
  } finally {
    rmSync(file, { force: true })
  }
}
