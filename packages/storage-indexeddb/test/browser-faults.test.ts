/**
 * What a real Chromium does to a store that is open: it has no space left, and somebody clears the site's data.
 *
 * faults.test.ts has what it cannot be made to do here.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { callIn, servePages } from '../../../scripts/pages.ts'

type Tab = typeof import('./tab.ts')

const pages = await servePages({ packages: 'sources' })

/** `quotaSize`: from before anything is stored, as Chromium asks again only when what it was told last is not enough. */
async function opened(name: string, quotaSize?: number) {
  const page = await pages?.open('packages/storage-indexeddb/test/tab.ts')
  if (page === undefined) throw new Error('there is no browser')
  const session = await page.context().newCDPSession(page)
  const call = <Name extends keyof Tab>(name: Name, ...args: Parameters<Tab[Name]>) =>
    callIn<Tab[Name]>(page, name, ...args)
  const { origin } = new URL(page.url())
  if (quotaSize !== undefined) await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize })
  await call('open', { name })
  return { page, session, origin, call }
}

// `scripts/browser.ts` said aloud that there is none, or failed.
describe.runIf(pages !== undefined)('in a real browser', () => {
  afterAll(() => pages?.close())

  test('a write without space is QUOTA and leaves nothing; with space it is stored', async () => {
    const { session, origin, call } = await opened('full', 1_000_000)
    expect(await call('append', ['before'], 1000)).toEqual(['stored'])
    expect(await call('append', ['p', 'q'], 2_000_000)).toEqual('QUOTA')
    expect((await call('check')).ids).toEqual(['before'])
    await session.send('Storage.overrideQuotaForOrigin', { origin })
    expect(await call('append', ['p', 'q'], 2_000_000)).toEqual(['stored', 'stored'])
    expect((await call('check')).ids).toEqual(['before', 'p', 'q'])
  })

  test('cleared site data end the store with CLOSED, and it is not made anew', async () => {
    const { page, session, origin, call } = await opened('cleared')
    expect(await call('append', ['x'], 1000)).toEqual(['stored'])
    await session.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' })
    expect(await call('append', ['y'], 1000)).toEqual('CLOSED')
    expect(await call('failureOf', 'count')).toMatch(/^CLOSED .*deleted/)
    expect(await page.evaluate('indexedDB.databases()')).toEqual([])
  })
})
