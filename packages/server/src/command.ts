/**
 * The command line of `tidemark-server`: what may be written there, and what it means.
 *
 * Not here: doing it (`serve.ts`).
 */
import { parseArgs } from 'node:util'
import type { LogLevel } from './log.ts'
import { createOriginCheck } from './origins.ts'

export const DEFAULT_STORAGE = 'sqlite:./tidemark.db'
const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_PORT = 4210
const PORT_MAX = 65_535
const LOG_LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug']

export const USAGE: string = `usage: tidemark-server [options]

  --host HOST        address to listen on (default ${DEFAULT_HOST}: this machine only)
  --port PORT        port to listen on, 0 for any that is free (default ${DEFAULT_PORT})
  --storage STORAGE  sqlite:PATH, leveldb:PATH or memory: (default ${DEFAULT_STORAGE});
                     leveldb: needs the package @tidemark/storage-leveldb;
                     several are kept in step, the first is read first; beside
                     others memory: is a cache
  --upstream URL     be the client of another server, ws://HOST:PORT or wss://HOST: serve
                     what is here, ask there for what is not, upload what clients write
  --upstream-token-file FILE
                     its first line is the token that the other server is given
  --token-file FILE  let in only clients with one of these tokens, one per line;
                     given as "Authorization: Bearer TOKEN" or as "?key=TOKEN";
                     read again when it changes, and on SIGHUP
  --allow-origin O   let in pages of this web site, like https://example.org, and
                     of no other; may be given several times (default: of all)
  --memory-budget B  what connections may cost in memory, like 512M or 2G; above it
                     nobody is let in and the costliest are sent away
  --log-level LEVEL  ${LOG_LEVELS.join(', ')} (default info); the log goes to stderr
  --help, --version

Prints "listening on ws://HOST:PORT" when ready. GET /health and GET /metrics tell how it is.
SIGTERM and Ctrl-C stop it when what was accepted is stored; the second one stops it at once.
`

/** What was asked for cannot be done: one line for people, and exit code 2. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export interface ServeCommand {
  readonly host: string
  readonly port: number
  /** Several are layers, the first being the preferred source. */
  readonly storages: readonly string[]
  readonly upstream: string | undefined
  readonly upstreamTokenFile: string | undefined
  readonly tokenFile: string | undefined
  readonly allowedOrigins: readonly string[] | undefined
  readonly memoryBytesMax: number | undefined
  readonly logLevel: LogLevel
}

export type Command = 'help' | 'version' | ServeCommand

/** @throws CommandError for anything that is not exactly an option with a value that makes sense. */
export function parseCommand(args: readonly string[]): Command {
  const values = parsed(args)
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  return {
    host: given('--host', values.host) ?? DEFAULT_HOST,
    port: portOf(values.port),
    storages: (values.storage ?? [DEFAULT_STORAGE]).map((text) => given('--storage', text) ?? DEFAULT_STORAGE),
    upstream: upstreamOf(values.upstream),
    upstreamTokenFile: given('--upstream-token-file', values['upstream-token-file']),
    tokenFile: given('--token-file', values['token-file']),
    allowedOrigins: originsOf(values['allow-origin']),
    memoryBytesMax: bytesOf(values['memory-budget']),
    logLevel: levelOf(values['log-level']),
  }
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        host: text,
        port: text,
        storage: { type: 'string', multiple: true },
        upstream: text,
        'upstream-token-file': text,
        'token-file': text,
        'allow-origin': { type: 'string', multiple: true },
        'memory-budget': text,
        'log-level': text,
        help: flag,
        version: flag,
      },
    }).values
  } catch (cause) {
    // Only its first sentence says what is wrong; the rest is advice on writing command lines.
    const [problem = ''] = (cause as Error).message.split(/\.\s/)
    throw new CommandError(`${problem}; see --help`, { cause })
  }
}

function given(option: string, value: string | undefined): string | undefined {
  if (value === '') throw new CommandError(`${option}: expected a value, got nothing`)
  return value
}

function portOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > PORT_MAX)
    throw new CommandError(`--port: expected a number from 0 to ${PORT_MAX}, got ${JSON.stringify(text)}`)
  return port
}

function upstreamOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'ws:' && url?.protocol !== 'wss:')
    throw new CommandError('--upstream: expected an address like ws://HOST:PORT or wss://HOST')
  // No WebSocket is opened to one.
  if (url.hash !== '') throw new CommandError('--upstream: expected an address without a fragment (#…)')
  return text
}

function originsOf(list: readonly string[] | undefined): readonly string[] | undefined {
  try {
    createOriginCheck(list)
    return list
  } catch (cause) {
    throw new CommandError(`--allow-origin: ${(cause as Error).message}`, { cause })
  }
}

function bytesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits = '', unit = ''] = /^(\d{1,9})([KMG]?)$/.exec(text) ?? []
  const bytes = Number(digits) * 1024 ** ' KMG'.indexOf(unit || ' ')
  if (bytes >= MEMORY_BYTES_MIN) return bytes
  throw new CommandError(
    `--memory-budget: expected 16M or more, in bytes or with K, M or G, got ${JSON.stringify(text)}`,
  )
}

const MEMORY_BYTES_MIN = 16 * 1024 * 1024

function levelOf(text: string | undefined): LogLevel {
  if (text === undefined) return 'info'
  const level = LOG_LEVELS.find((known) => known === text)
  if (level === undefined)
    throw new CommandError(`--log-level: expected one of ${LOG_LEVELS.join(', ')}, got ${JSON.stringify(text)}`)
  return level
}
