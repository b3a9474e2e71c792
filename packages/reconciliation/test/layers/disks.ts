/**
 * Layers on disks: SQLite and LevelDB side by side, as a subject of the conformance kit.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Storage } from '@tidemark/storage'
import { type FaultyStorage, faults, type Subject } from '@tidemark/storage/conformance'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { layers } from '../../src/layers.ts'

const READS: readonly (keyof Storage)[] = [
  'knownStates',
  'headers',
  'read',
  'marks',
  'verifierStates',
  'list',
  'changes',
]
const WRITES: readonly (keyof Storage)[] = ['append', 'erase', 'mergeMap']

export function folder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-layers-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export function diskSubject(): Subject {
  const { path, remove } = folder()
  let disks: readonly FaultyStorage[] = []
  const make = (readOnly = false): Storage => {
    // Without waiting for the disk: whether that is waited for is the adapters' affair, and tested there.
    const sqlite = sqliteStorage({ path: join(path, 'store.db'), synchronous: 'normal', ...(readOnly && { readOnly }) })
    const leveldb = leveldbStorage({ path: join(path, 'store'), level: 'stored', ...(readOnly && { readOnly }) })
    disks = [faults(sqlite), faults(leveldb)]
    return layers([
      { name: 'sqlite', storage: disks[0] as Storage },
      { name: 'leveldb', storage: disks[1] as Storage },
    ])
  }
  return {
    storage: make(),
    reopen: () => make(),
    second: () => make(),
    readOnly: () => make(true),
    failNext(access, code) {
      const methods = access === 'read' ? READS : WRITES
      // Both, each once: one of them is no failure of the whole.
      for (const disk of disks)
        disk.plan = ({ method }) => {
          if (!methods.includes(method)) return undefined
          disk.plan = undefined
          return { fails: code }
        }
    },
    destroy: remove,
  }
}
