/**
 * The token file: who may connect, changed while the server runs.
 *
 * It is looked at again when somebody connects, once a second at most, and when it is asked for. A file that cannot be read any more
 * changes nothing: a slip of an editor shuts nobody out, and lets nobody in. Whoever is connected stays.
 * Secrets are in no line of the log. Not here: comparing tokens (`tokens.ts`).
 */
import { readFile, stat } from 'node:fs/promises'
import type { Clock } from '@tidemark/storage'
import type { UpgradeRequest } from '@tidemark/websocket'
import type { Log } from './log.ts'
import { authenticateByToken, readTokens } from './tokens.ts'

export interface TokenFile {
  authenticate(request: UpgradeRequest): Promise<string | undefined>
  /** Reads it again now, whether or not it seems to have changed. Never rejects. */
  reload(): Promise<void>
}

/** Every upgrade is compared with all tokens. */
const FILE_BYTES_MAX = 1024 * 1024
const LOOK_EVERY_MS = 1_000
const OTHERS_MAY_READ = 0o044

interface Version {
  readonly tokens: readonly string[]
  /** Differs when the file does. */
  readonly mark: string
  readonly othersMayRead: boolean
}

/** @throws Error if the file cannot be read or has no token. */
export async function openTokenFile(path: string, log: Log, clock: Clock): Promise<TokenFile> {
  const first = await read(path)
  let mark = first.mark
  let check = authenticateByToken(first.tokens)
  let looked = clock.now()
  warn(first)

  function warn({ othersMayRead }: Version): void {
    if (othersMayRead) log('warn', 'other users of this machine can read the token file: chmod 600 it', { path })
  }

  async function load(): Promise<void> {
    try {
      const version = await read(path)
      mark = version.mark
      check = authenticateByToken(version.tokens)
      log('info', 'the token file was read again', { path, tokens: version.tokens.length })
      warn(version)
    } catch (cause) {
      log('error', 'the token file cannot be used as it is now: the tokens read before hold', { path, cause })
    }
  }

  async function isChanged(): Promise<boolean> {
    const now = await markOf(path).catch(() => 'missing')
    if (now === mark) return false
    mark = now
    return true
  }

  return {
    async authenticate(request) {
      const nowMs = clock.now()
      if (nowMs - looked >= LOOK_EVERY_MS) {
        looked = nowMs
        if (await isChanged()) await load()
      }
      return check(request)
    },
    reload: load,
  }
}

/**
 * The first token of a file: to be given to somebody, not to be compared with.
 *
 * @throws Error if the file cannot be read or has no token.
 */
export async function firstToken(path: string): Promise<string> {
  const { tokens } = await read(path)
  return tokens[0] as string
}

async function read(path: string): Promise<Version> {
  const mark = await markOf(path)
  const { size, mode } = await stat(path)
  if (size > FILE_BYTES_MAX) throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes`)
  const tokens = readTokens(await readFile(path, 'utf8'))
  if (tokens.length === 0) throw new Error(`there is no token in ${path}`)
  return { tokens, mark, othersMayRead: process.platform !== 'win32' && (mode & OTHERS_MAY_READ) !== 0 }
}

/** A pipe or a device may never end. */
async function markOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true })
  if (!found.isFile()) throw new Error(`${path} is not a file`)
  return `${found.ino} ${found.size} ${found.mtimeNs}`
}
