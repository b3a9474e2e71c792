/**
 * Serving from the command line: opens what was asked for, serves until it is told to stop.
 *
 * Everything that can be wrong with what was asked for is a `CommandError` with one clear line. Secrets are in no line.
 * Not here: signals and exit codes (`cli.ts`), the command line itself (`command.ts`).
 */
import { jazzDependencies, jazzIsTombstone } from '@tidemark/protocol'
import { type Storage, StorageError, systemClock } from '@tidemark/storage'
import { nodeWebSocket } from '@tidemark/websocket/node'
import { CommandError, type ServeCommand } from './command.ts'
import { type Listening, listen } from './listen.ts'
import type { Log } from './log.ts'
import { storagesFrom } from './open-storage.ts'
import type { ServerHooks } from './options.ts'
import { createServer, type Server } from './server.ts'
import { messageOf } from './stderr-log.ts'
import { firstToken, openTokenFile, type TokenFile } from './token-file.ts'
import type { UpstreamOptions } from './upstream.ts'

export interface Serving extends Listening {
  /** Reads again what may have changed: the token file. */
  reload(): Promise<void>
}

/** @throws CommandError if what was asked for cannot be done. */
export async function serve(command: ServeCommand, log: Log): Promise<Serving> {
  const tokens = await tokensOf(command.tokenFile, log)
  const hooks: ServerHooks = {
    dependenciesOf: jazzDependencies,
    isTombstone: jazzIsTombstone,
    ...(tokens && { authenticate: (request) => tokens.authenticate(request) }),
  }
  const upstream = await upstreamOf(command)
  const server = await startServer(command, hooks, upstream, log)
  try {
    const listening = await listen(server, { host: command.host, port: command.port, log })
    const { level, generation } = server.opened
    if (hooks.authenticate === undefined && !isLoopback(command.host)) log('warn', OPEN_TO_ALL, { host: command.host })
    log('info', 'serving', {
      url: listening.url,
      storage: command.storages.join(', '),
      level,
      generation: generation.id,
    })
    return { ...listening, reload: async () => tokens?.reload() }
  } catch (cause) {
    await server.close()
    throw new CommandError(whyNotListening(command, cause), { cause })
  }
}

const OPEN_TO_ALL = 'anybody who can reach this address can read and write everything: there is no --token-file'

async function startServer(
  command: ServeCommand,
  hooks: ServerHooks,
  upstream: UpstreamOptions | undefined,
  log: Log,
): Promise<Server> {
  const { storages, allowedOrigins, memoryBytesMax } = command
  const text = storages.join(' --storage ')
  const limits = memoryBytesMax === undefined ? {} : { memoryBytesMax }
  let storage: Storage | undefined
  let server: Server
  try {
    storage = await storagesFrom(storages, log)
    server = await createServer({
      storage,
      hooks,
      log,
      limits,
      ...(allowedOrigins && { allowedOrigins }),
      ...(upstream && { upstream }),
    })
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
    throw new CommandError(`--storage ${text}: ${messageOf(cause)}`, { cause })
  }
  if (server.opened.writable) return server
  await server.close()
  throw new CommandError(`--storage ${text}: it can be read, but not written`)
}

/** The token is read at every attempt, so that it may change; what is wrong with it at the start is said at the start. */
async function upstreamOf({ upstream, upstreamTokenFile }: ServeCommand): Promise<UpstreamOptions | undefined> {
  if (upstream === undefined) {
    if (upstreamTokenFile === undefined) return undefined
    throw new CommandError('--upstream-token-file: there is no --upstream to give it to')
  }
  const headers = async (): Promise<Record<string, string>> =>
    upstreamTokenFile === undefined ? {} : { authorization: `Bearer ${await firstToken(upstreamTokenFile)}` }
  try {
    await headers()
  } catch (cause) {
    throw new CommandError(`--upstream-token-file: ${messageOf(cause)}`, { cause })
  }
  return { connect: async (signal) => nodeWebSocket(upstream, { headers: await headers() })(signal) }
}

async function tokensOf(file: string | undefined, log: Log): Promise<TokenFile | undefined> {
  if (file === undefined) return undefined
  try {
    return await openTokenFile(file, log, systemClock)
  } catch (cause) {
    throw new CommandError(`--token-file: ${messageOf(cause)}`, { cause })
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function whyNotListening({ host, port }: ServeCommand, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return `--port ${port}: another program listens there already`
  if (code === 'EACCES') return `--port ${port}: this user may not listen there`
  return `--host ${host}: cannot listen there (${messageOf(cause)})`
}
