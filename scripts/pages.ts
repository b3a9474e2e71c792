/**
 * Pages in a real Chromium for tests and measurements that need more than one, or a disk: modules are served as they are written,
 * and the browser keeps its data in a folder, so that what is stored there is really stored.
 *
 * Not here: which browser (browser.ts), the conformance kit in a page (that is a project of vitest.config.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright'
import { createViteServer } from 'vitest/node'
import { type FoundBrowser, findBrowser } from './browser.ts'
import { publicEntries, root, workspacePackages } from './workspace.ts'

export interface Pages {
  /** Where the browser keeps its data. */
  readonly folder: string
  /** Opens a page that has loaded `module` (relative to the root of the repository). */
  open(module: string): Promise<Page>
  /** Ends the browser, at once and without notice. Pages can be opened again, over the same data. */
  kill(): Promise<void>
  /** Ends the browser in order. Pages can be opened again, over the same data. */
  stop(): Promise<void>
  /** Ends everything and removes the data. */
  close(): Promise<void>
}

/** The global under which a page has its module. */
const LOADED = 'tidemarkModule'

/** Served, and not made up by the browser: a page from nowhere may not connect to servers on this machine. */
const PAGE = '/page'

export interface PagesOptions {
  /** Packages by their sources, so that nothing must be built before; or by what was built. */
  readonly packages: 'sources' | 'built'
}

/** `undefined` if there is no browser; that was said then. */
export async function servePages({ packages }: PagesOptions): Promise<Pages | undefined> {
  const found = await findBrowser()
  if (found === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-pages-'))
  const server = await serve(packages)
  let browser: BrowserContext | undefined
  const stop = async () => {
    await browser?.close()
    browser = undefined
  }
  return {
    folder,
    stop,
    async open(module) {
      browser ??= await launch(found, folder)
      const page = await browser.newPage()
      const failed = new Promise<never>((_, reject) => page.on('pageerror', reject))
      failed.catch(() => {})
      await page.goto(`${server.address}${PAGE}?${module}`)
      await Promise.race([page.waitForFunction((name) => name in globalThis, LOADED), failed])
      return page
    },
    async kill() {
      const killed = browser
      browser = undefined
      if (killed !== undefined) await killAll(killed)
    },
    async close() {
      await stop()
      await server.close()
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

function launch(found: FoundBrowser, folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { ...found, headless: true })
}

async function serve(packages: PagesOptions['packages']) {
  const alias = workspacePackages()
    .flatMap(publicEntries)
    .map(({ specifier, source }) => ({ find: new RegExp(`^${specifier}$`), replacement: join(root, source) }))
  const server = await createViteServer({
    root,
    configFile: false,
    appType: 'custom',
    logLevel: 'error',
    server: { port: 0, host: '127.0.0.1', hmr: false, ws: false, watch: null },
    // Dependencies are served as they are: bundling them would make pages start over.
    optimizeDeps: { noDiscovery: true },
    resolve: { alias: packages === 'sources' ? alias : [] },
  })
  server.middlewares.use(PAGE, (request, response) => {
    const module = decodeURIComponent(request.url?.split('?')[1] ?? '')
    const script = `import * as loaded from '/${module}'; globalThis.${LOADED} = loaded`
    response.setHeader('content-type', 'text/html')
    response.end(`<!doctype html><script type="module">${script}</script>`)
  })
  await server.listen()
  const address = server.httpServer?.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server of pages has no address')
  return { address: `http://127.0.0.1:${address.port}`, close: () => server.close() }
}

/**
 * Kills all processes of a browser, and waits until they are gone: one that is still there has its files locked, and Chromium
 * takes a database that it cannot open for damaged, and removes it.
 */
async function killAll(context: BrowserContext): Promise<void> {
  const session = await context.browser()?.newBrowserCDPSession()
  const { processInfo = [] } = (await session?.send('SystemInfo.getProcessInfo')) ?? {}
  const ended = new Promise((resolve) => context.on('close', resolve))
  for (const { id } of processInfo) signal(id, 'SIGKILL')
  await ended
  while (processInfo.some(({ id }) => signal(id, 0))) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Answers whether there was such a process. */
function signal(id: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(id, name)
  } catch {
    return false
  }
}

/** Ends the process of a page, at once and without notice. */
export async function killPage(page: Page): Promise<void> {
  const crashed = new Promise((resolve) => page.on('crash', resolve))
  const session = await page.context().newCDPSession(page)
  // It does not live to answer.
  session.send('Page.crash').catch(() => {})
  await crashed
}

type Function = (...args: never[]) => unknown

/** Calls an exported function of the module that `page` has loaded; arguments and answers are copied. */
export function callIn<Called extends Function>(
  page: Page,
  name: string,
  ...args: Parameters<Called>
): Promise<Awaited<ReturnType<Called>>> {
  const called = ({ loaded, name, args }: { loaded: string; name: string; args: unknown[] }) =>
    (globalThis as unknown as Record<string, Record<string, (...args: unknown[]) => unknown>>)[loaded]?.[name]?.(
      ...args,
    )
  return page.evaluate(called, { loaded: LOADED, name, args }) as Promise<Awaited<ReturnType<Called>>>
}
