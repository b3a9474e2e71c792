/**
 * The published package: what its README and documents link to is in it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const home = fileURLToPath(new URL('..', import.meta.url))
const { files } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { readonly files: readonly string[] }
const pages = ['README.md', ...readdirSync(join(home, 'docs')).map((name) => join('docs', name))]

function linksOf(page: string): string[] {
  const links = [...readFileSync(join(home, page), 'utf8').matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)]
  return links.map(([, path]) => normalize(join(dirname(page), path as string)))
}

test.each(pages)('what %s links to is there, and published', (page) => {
  const links = linksOf(page)
  if (page === 'README.md') expect(links.length).toBeGreaterThan(10)
  const isPublished = (path: string) => path === 'README.md' || files.includes(path.split(sep)[0] as string)
  expect(links.filter((path) => !existsSync(join(home, path)) || !isPublished(path))).toEqual([])
})

test('what is published is there', () => {
  // Not `dist`, which the build makes.
  for (const path of files.filter((name) => name !== 'dist'))
    expect(statSync(join(home, path)).isDirectory()).toBe(true)
})
