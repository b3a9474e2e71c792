/**
 * The example of README.md runs as it stands there, in a real Chromium.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Pages, servePages } from '../../../scripts/pages.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const example = /```ts browser\n([\s\S]*?)```/.exec(readme)?.[1]
const name = `.example-${process.pid}.ts`
const file = new URL(name, import.meta.url)
const pages = await servePages({ packages: 'sources' })

// `scripts/browser.ts` said aloud that there is no browser, or failed.
test.runIf(pages !== undefined)('the example of the README runs in a browser', { timeout: 60_000 }, async () => {
  expect(example).toBeDefined()
  try {
    const answers = "[level, known?.known.sessions.get('alice-1'), page?.runs.length, result]"
    writeFileSync(file, `${example}\nexport const answers = ${answers}\n`)
    const page = await (pages as Pages).open(`packages/storage-indexeddb/test/${name}`)
    expect(await page.evaluate('tidemarkModule.answers')).toMatchObject(['durable', 2, 1, { refused: {} }])
  } finally {
    rmSync(file, { force: true })
    await pages?.close()
  }
})
