/**
 * Starting the demo: storage, sync server, page and port put together. All the wiring that a server of one's own needs is here.
 *
 * Not here: the command line, signals (`server.ts`).
 */
import { createServer, type Server } from '@tidemark/server'
import { type Listening, type ListenOptions, listen } from '@tidemark/server/node'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import type { DemoOptions } from './options.ts'
import { readPage, servePage } from './serve-page.ts'

export interface Demo {
  /** Of the page, for a browser. */
  readonly address: string
  close(): Promise<void>
}

const PORTS_TRIED = 20

/** `say` is told when a port is taken. @throws Error if the page is not built, the file cannot be used, or no port is free. */
export async function startDemo(
  { host, port, storage, page }: DemoOptions,
  say: (line: string) => void,
): Promise<Demo> {
  const files = await readPage(page)
  const server = await createServer({ storage: sqliteStorage({ path: storage }) })
  try {
    const onRequest = servePage(files)
    const listening = await listenSomewhere(server, { host, port, onRequest }, say)
    return { address: `http://${host}:${listening.port}`, close: () => listening.close() }
  } catch (error) {
    await server.close()
    throw error
  }
}

/** Listens on the wanted port, or on the next one that is free. */
async function listenSomewhere(
  server: Server,
  options: ListenOptions & { readonly port: number },
  say: (line: string) => void,
): Promise<Listening> {
  const last = options.port === 0 ? 0 : options.port + PORTS_TRIED - 1
  for (let port = options.port; ; port++) {
    try {
      return await listen(server, { ...options, port })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port >= last) throw error
      say(`port ${port} is taken, trying ${port + 1}`)
    }
  }
}
