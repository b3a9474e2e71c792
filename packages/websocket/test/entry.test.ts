/**
 * The root entry is for browsers: nothing it reaches needs Node or `ws`.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

test('the root entry reaches neither a module of Node nor ws', () => {
  expect(foreignImports(new URL('../src/index.ts', import.meta.url))).toEqual([
    '@tidemark/protocol',
    '@tidemark/storage',
    '@tidemark/sync/run',
  ])
})

/** What a module and the files it imports name besides each other, sorted. */
function foreignImports(entry: URL): string[] {
  const foreign = new Set<string>()
  const seen = new Set<string>()
  const visit = (file: URL) => {
    if (seen.has(file.href)) return
    seen.add(file.href)
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/\bfrom '([^']+)'/g))
      if (specifier.startsWith('.')) visit(new URL(specifier, file))
      else foreign.add(specifier)
  }
  visit(entry)
  return [...foreign].sort()
}
