/**
 * `--storage`: from a line of text to a storage. Adapters are imported when they are asked for, so that a server without one of them
 * starts as fast, and needs nothing installed for those it does not use.
 */
import { createHash } from 'node:crypto'
import type { Storage } from '@tidemark/storage'
import { CommandError } from './command.ts'
import { logLayers } from './layered.ts'
import type { Log } from './log.ts'

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

/** One storage, or several as one: the first is the preferred source. @throws CommandError as `storageFrom`. */
export async function storagesFrom(texts: readonly string[], log: Log): Promise<Storage> {
  const [first, ...others] = texts
  if (first === undefined || others.length === 0) return storageFrom(first ?? '')
  const { layers } = await import('@tidemark/reconciliation/layers')
  // Beside stores on disk memory is a cache; among its like it is all there is.
  const caches = texts.some((text) => text !== 'memory:')
  const storages = await Promise.all(texts.map((text) => (caches ? layerFrom(text) : storageFrom(text))))
  const all = layers(storages.map((storage, index) => ({ storage, name: nameOf(texts, index) })))
  for (const [index, text] of texts.entries()) log('info', `layer ${nameOf(texts, index)}: ${text}`)
  all.listen((event) => logLayers(log, event))
  return all
}

async function layerFrom(text: string): Promise<Storage> {
  if (text !== 'memory:') return storageFrom(text)
  const { cacheStorage } = await import('@tidemark/reconciliation/layers')
  return cacheStorage()
}

/**
 * What layers note of each other goes by name, so it is the same wherever a storage stands in the line, and says which it is without its path,
 * which is nobody's business who looks at `/health`.
 */
function nameOf(texts: readonly string[], index: number): string {
  const text = texts[index] as string
  const scheme = text.slice(0, text.indexOf(':'))
  if (scheme !== 'memory') return `${scheme} ${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
  const same = texts.slice(0, index).filter((one) => one === text).length
  return same === 0 ? scheme : `${scheme} ${same + 1}`
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
