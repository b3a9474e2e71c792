/**
 * The examples of the README and of `docs` are what somebody may paste into a strict project: they pass the type checker as they stand.
 */
import { execFile } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const folder = fileURLToPath(new URL('..', import.meta.url))
const root = join(folder, '../..')

test('the examples pass the type checker in strict mode', { timeout: 120_000 }, async () => {
  const pages = globSync(['README.md', 'docs/*.md'], { cwd: folder })
  const examples = pages.flatMap((page) =>
    [...readFileSync(join(folder, page), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string),
  )
  expect(examples.length).toBeGreaterThanOrEqual(pages.length)
  const temporary = mkdtempSync(join(tmpdir(), 'examples-'))
  try {
    for (const [index, code] of examples.entries()) writeFileSync(join(temporary, `example-${index + 1}.mts`), code)
    const options = { types: ['node'], typeRoots: [join(root, 'node_modules/@types')] }
    const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions: options, include: ['*.mts'] }
    writeFileSync(join(temporary, 'tsconfig.json'), JSON.stringify(config))
    const check = [join(root, 'node_modules/typescript/bin/tsc'), '-p', temporary]
    const said = await promisify(execFile)(process.execPath, check).then(
      ({ stdout }) => stdout,
      ({ stdout, message }) => stdout || message,
    )
    expect(said).toBe('')
  } finally {
    rmSync(temporary, { recursive: true })
  }
})
