/**
 * `--storage`: from a line of text to a storage. Adapters are imported when they are asked for, so that a server without one of them
 * starts as fast, and needs nothing installed for those it does not use.
 */
import type { Storage } from '@tidemark/storage'
import { CommandError } from './command.ts'

interface Scheme {
  readonly needsPath: boolean
  open(path: string): Promise<Storage>
}

const SCHEMES: Readonly<Record<string, Scheme>> = {
  sqlite: {
    needsPath: true,
    async open(path) {
      const { sqliteStorage } = await import('@tidemark/storage-sqlite')
      return sqliteStorage({ path })
    },
  },
  memory: {
    needsPath: false,
    async open() {
      const { memoryStorage } = await import('@tidemark/storage')
      return memoryStorage()
    },
  },
  leveldb: {
    needsPath: true,
    async open(path) {
      const { leveldbStorage } = await ifInstalled(
        '@tidemark/storage-leveldb',
        () => import('@tidemark/storage-leveldb'),
      )
      return leveldbStorage({ path })
    },
  },
}

/** The storage is made, not opened. @throws CommandError for a scheme, path or adapter that is not there. */
export async function storageFrom(text: string): Promise<Storage> {
  const [, name = '', path = ''] = /^([a-z]+):(.*)$/s.exec(text) ?? []
  const scheme = Object.hasOwn(SCHEMES, name) ? SCHEMES[name] : undefined
  if (scheme === undefined)
    throw new CommandError(`--storage: expected sqlite:PATH, leveldb:PATH or memory:, got ${JSON.stringify(text)}`)
  if (scheme.needsPath !== (path !== '')) {
    const expected = scheme.needsPath ? `${name}:PATH` : `${name}: without a path`
    throw new CommandError(`--storage: expected ${expected}, got ${JSON.stringify(text)}`)
  }
  return scheme.open(path)
}

/** An adapter that does not come along: whoever wants it installs it. */
async function ifInstalled<Module>(packageName: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load()
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    // It may also be there and lack something itself.
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(packageName)) throw cause
    throw new CommandError(`--storage: this needs the package ${packageName}, which is not installed`, { cause })
  }
}
