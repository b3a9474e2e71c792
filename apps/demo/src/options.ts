/**
 * The demo's command line and environment, and what they mean.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

export interface DemoOptions {
  readonly host: string
  /** The first port that is tried; 0 for any that is free. */
  readonly port: number
  /** Path of the SQLite file; created if it does not exist. */
  readonly storage: string
  /** Folder of the built page. */
  readonly page: string
}

export const USAGE = `usage: npm start, or: node dist/server.js [options]

  --storage PATH  SQLite file for the lists (default ./tidemark-demo.db)
  --port PORT     port to listen on (default: PORT of the environment, or 4210);
                  if it is taken, the next free one
  --page FOLDER   the built page (default: the one beside this file)
  --help
`

const HOST = '127.0.0.1'
const PORT = 4210
const PORT_MAX = 65_535

/** @throws Error, for people, if an option is not understood. */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): DemoOptions | 'help' {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: { storage: text, port: text, page: text, help: { type: 'boolean' } },
  })
  if (values.help === true) return 'help'
  return {
    host: HOST,
    port: portOf(values.port ?? env.PORT),
    storage: values.storage ?? './tidemark-demo.db',
    page: values.page ?? fileURLToPath(new URL('page/', import.meta.url)),
  }
}

function portOf(text: string | undefined): number {
  if (text === undefined || text === '') return PORT
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= PORT_MAX) return port
  throw new Error(`port: expected a number from 0 to ${PORT_MAX}, got ${JSON.stringify(text)}`)
}
