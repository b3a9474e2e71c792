/**
 * The page in a real browser: two tabs, one list, through the real packages and a real server on SQLite.
 *
 * Without a browser there is nothing to test: that is said loudly, and fails where CI is set.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchBrowser } from './browser.ts'
import { buildPage, type DemoProcess, startDemoProcess } from './demo.ts'

const browser: Browser | undefined = await launchBrowser()
const folder = mkdtempSync(join(tmpdir(), 'tidemark-page-'))
const storage = join(folder, 'lists.db')
let demo: DemoProcess
let lists = 0

const start = (port = 0) =>
  startDemoProcess(['--page', join(folder, 'page'), '--storage', storage, '--port', String(port)])

describe.runIf(browser !== undefined)('two tabs', () => {
  beforeAll(async () => {
    await buildPage(join(folder, 'page'))
    demo = await start()
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    await demo?.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })

  test('see each other’s edits live', { timeout: 30_000 }, async () => {
    const [a, b] = await openTabs()
    await add(a, 'Bread')
    await seen(b, ['Bread'])
    await add(b, 'Milk')
    await seen(a, ['Bread', 'Milk'])
    await a.getByLabel('Done: Bread').check()
    await seen(b, ['Bread ✓', 'Milk'])
    await b.getByLabel('Text of Milk').fill('Oat milk')
    await b.getByLabel('Text of Milk').press('Enter')
    await seen(a, ['Bread ✓', 'Oat milk'])
    await b.getByLabel('Remove Bread').click()
    await seen(a, ['Oat milk'])
    await a.getByText('Everything is saved on the server').waitFor()
    expect(await a.locator('#messages-down').textContent()).toMatch(/^\d+$/)
  })

  test('that were offline converge, and say what waits', { timeout: 30_000 }, async () => {
    const [a, b] = await openTabs()
    await add(a, 'Bread')
    await seen(b, ['Bread'])
    await a.getByRole('button', { name: 'Go offline' }).click()
    await a.getByText('Offline', { exact: true }).waitFor()
    await add(a, 'Tea')
    await a.getByLabel('Text of Bread').fill('Rye bread')
    await a.getByLabel('Text of Bread').press('Enter')
    await a.getByText('2 changes wait for the connection').waitFor()
    await add(b, 'Milk')
    await b.getByLabel('Done: Bread').check()
    await seen(a, ['Rye bread', 'Tea'])

    await a.getByRole('button', { name: 'Go online' }).click()
    await a.getByText('Everything is saved on the server').waitFor()
    const both = ['Rye bread ✓', 'Milk', 'Tea']
    await expect.poll(async () => (await items(a)).toSorted()).toEqual(both.toSorted())
    await seen(b, await items(a))
  })

  test('that create a list at the same time create one list', { timeout: 30_000 }, async () => {
    const [a, b] = await openTabs()
    await Promise.all([add(a, 'from a'), add(b, 'from b')])
    await expect.poll(async () => (await items(a)).toSorted()).toEqual(['from a', 'from b'])
    await seen(b, await items(a))
  })

  test('find the list again after a reload, and after the server was killed', { timeout: 40_000 }, async () => {
    const [a, b] = await openTabs()
    await add(a, 'Bread')
    await seen(b, ['Bread'])
    await a.getByText('Everything is saved on the server').waitFor()
    await a.reload()
    await seen(a, ['Bread'])

    const port = Number(new URL(demo.address).port)
    await demo.end('SIGKILL')
    await b.getByText('The server cannot be reached; trying again').waitFor()
    await add(b, 'Milk')
    await b.getByText('1 change waits for the connection').waitFor()
    demo = await start(port)
    await seen(a, ['Bread', 'Milk'])
    await b.getByText('Everything is saved on the server').waitFor()
    await b.reload()
    await seen(b, ['Bread', 'Milk'])
  })

  test('that cannot ask the server do not make a list up', { timeout: 30_000 }, async () => {
    let reachable = false
    const tab = await open('list', () => reachable)
    await tab.getByText('The server could not be asked').waitFor()
    expect(await tab.getByLabel('New item').isDisabled()).toBe(true)
    reachable = true
    await tab.getByText('Nothing here yet').waitFor({ timeout: 15_000 })
  })

  test('can be used with the keyboard alone', { timeout: 30_000 }, async () => {
    const [a, b] = await openTabs()
    await a.getByLabel('New item').focus()
    for (const text of ['Bread', 'Milk']) {
      await a.keyboard.type(text)
      await a.keyboard.press('Enter')
    }
    await seen(b, ['Bread', 'Milk'])
    await a.keyboard.press('Shift+Tab')
    await a.getByLabel('Text of Bread').focus()
    await a.keyboard.press('ArrowDown')
    await a.keyboard.press('Tab')
    await a.keyboard.press('Enter')
    await seen(b, ['Bread'])
    expect(await a.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Remove Bread')
  })
})

/** Two tabs with a list of their own, each with a storage of its own. */
async function openTabs(): Promise<[Page, Page]> {
  lists += 1
  return [await open(`list-${lists}`), await open(`list-${lists}`)]
}

async function open(id: string, isReachable = () => true): Promise<Page> {
  const context = await (browser as Browser).newContext()
  const tab = await context.newPage()
  tab.on('pageerror', (error) => {
    throw error
  })
  await tab.routeWebSocket(/./, (socket) => {
    if (isReachable()) socket.connectToServer()
    else socket.close()
  })
  await tab.goto(`${demo.address}/#${id}`)
  return tab
}

async function add(tab: Page, text: string): Promise<void> {
  await tab.getByLabel('New item').fill(text)
  await tab.getByRole('button', { name: 'Add' }).click()
}

function items(tab: Page): Promise<string[]> {
  return tab.locator('.item').evaluateAll((rows) =>
    rows.map((row) => {
      const [checkbox, text] = row.querySelectorAll('input')
      return `${text?.value}${checkbox?.checked ? ' ✓' : ''}`
    }),
  )
}

async function seen(tab: Page, wanted: readonly string[]): Promise<void> {
  await expect.poll(() => items(tab), { timeout: 10_000 }).toEqual(wanted)
}
