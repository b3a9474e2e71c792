/**
 * Serving from the command line: opens what was asked for, serves until it is told to stop.
 *
 * Everything that can be wrong with what was asked for is a `CommandError` with one clear line. Secrets are in no line.
 * Not here: signals and exit codes (`cli.ts`), the command line itself (`command.ts`).
 */
import { readFile, stat } from 'node:fs/promises'
import { jazzDependencies, jazzIsTombstone } from '@tidemark/protocol'
import { type Storage, StorageError } from '@tidemark/storage'
import { CommandError, type ServeCommand } from './command.ts'
import { type Listening, listen } from './listen.ts'
import type { Log } from './log.ts'
import { storageFrom } from './open-storage.ts'
import type { ServerHooks } from './options.ts'
import { createServer, type Server } from './server.ts'
import { messageOf } from './stderr-log.ts'
import { authenticateByToken, readTokens } from './tokens.ts'

/** @throws CommandError if what was asked for cannot be done. */
export async function serve(command: ServeCommand, log: Log): Promise<Listening> {
  const hooks: ServerHooks = {
    dependenciesOf: jazzDependencies,
    isTombstone: jazzIsTombstone,
    ...(await tokenHook(command.tokenFile)),
  }
  const server = await startServer(command, hooks, log)
  try {
    const listening = await listen(server, { host: command.host, port: command.port, log })
    const { level, generation } = server.opened
    if (hooks.authenticate === undefined && !isLoopback(command.host)) log('warn', OPEN_TO_ALL, { host: command.host })
    log('info', 'serving', { url: listening.url, storage: command.storage, level, generation: generation.id })
    return listening
  } catch (cause) {
    await server.close()
    throw new CommandError(whyNotListening(command, cause), { cause })
  }
}

const OPEN_TO_ALL = 'anybody who can reach this address can read and write everything: there is no --token-file'

async function startServer({ storage: text }: ServeCommand, hooks: ServerHooks, log: Log): Promise<Server> {
  let storage: Storage | undefined
  let server: Server
  try {
    storage = await storageFrom(text)
    server = await createServer({ storage, hooks, log })
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
    throw new CommandError(`--storage ${text}: ${messageOf(cause)}`, { cause })
  }
  if (server.opened.writable) return server
  await server.close()
  throw new CommandError(`--storage ${text}: it can be read, but not written`)
}

async function tokenHook(file: string | undefined): Promise<ServerHooks> {
  if (file === undefined) return {}
  let text: string
  try {
    const { size } = await regularFile(file)
    if (size > TOKEN_FILE_BYTES_MAX) throw new Error(`${file} is larger than ${TOKEN_FILE_BYTES_MAX} bytes`)
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new CommandError(`--token-file: ${messageOf(cause)}`, { cause })
  }
  const tokens = readTokens(text)
  if (tokens.length === 0) throw new CommandError(`--token-file: there is no token in ${file}`)
  return { authenticate: authenticateByToken(tokens) }
}

/** A pipe or a device may never end. */
async function regularFile(file: string): Promise<{ readonly size: number }> {
  const found = await stat(file)
  if (found.isFile()) return found
  throw new Error(`${file} is not a file`)
}

/** Every upgrade is compared with all tokens. */
const TOKEN_FILE_BYTES_MAX = 1024 * 1024

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function whyNotListening({ host, port }: ServeCommand, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return `--port ${port}: another program listens there already`
  if (code === 'EACCES') return `--port ${port}: this user may not listen there`
  return `--host ${host}: cannot listen there (${messageOf(cause)})`
}
