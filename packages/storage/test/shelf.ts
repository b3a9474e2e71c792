/**
 * A store whose data outlive its handles, for the cases that close, kill, reopen and break: memory on a shelf.
 */
import type { Subject } from '../src/conformance.ts'
import { type Fault, faults } from '../src/conformance.ts'
import {
  type Generation,
  memoryStorage,
  type Opened,
  type Storage,
  StorageError,
  type SynchronousStorage,
} from '../src/index.ts'

const READS = ['knownStates', 'headers', 'read', 'verifierStates', 'marks', 'list', 'count', 'changes', 'readMap']
const WRITES = ['append', 'mergeMap', 'erase']

export function shelf(): Subject {
  let kept = memoryStorage()
  kept.open()
  /** All writes so far. */
  const written: ((store: SynchronousStorage) => unknown)[] = []
  const generations: Generation[] = []
  let holder: Storage | undefined
  let broken: { readonly access: 'read' | 'write'; readonly code: 'IO' | 'QUOTA' } | undefined

  function fault(method: string): Fault | undefined {
    const hit = broken !== undefined && (broken.access === 'read' ? READS : WRITES).includes(method)
    if (!hit) return undefined
    const fails = broken?.code as 'IO' | 'QUOTA'
    broken = undefined
    return { fails }
  }

  function handle(writable = true): Storage {
    let phase: 'made' | 'open' | 'closed' = 'made'
    let opened: Opened | undefined
    const data = faults(kept, ({ method }) => fault(method))
    const ready = (signal: AbortSignal | undefined, write = false) => {
      if (signal?.aborted) throw signal.reason
      if (phase !== 'open') throw new StorageError('CLOSED', 'the handle is not open')
      if (write && !writable) throw new StorageError('READ_ONLY', 'the handle may not write')
    }
    const guarded = { ...data } as Record<string, unknown>
    for (const method of [...READS, ...WRITES]) {
      const call = data[method as keyof Storage] as (...args: unknown[]) => unknown
      guarded[method] = (...args: unknown[]) => {
        const last = args.at(-1) as { readonly signal?: AbortSignal } | undefined
        ready(last?.signal, WRITES.includes(method))
        const answer = call(...args)
        if (WRITES.includes(method)) written.push((store) => (store[method as keyof Storage] as typeof call)(...args))
        return answer
      }
    }
    const storage: Storage = {
      ...(guarded as unknown as Storage),
      open(options) {
        if (options?.signal?.aborted) throw options.signal.reason
        if (phase === 'closed') throw new StorageError('CLOSED', 'the handle was closed')
        if (opened !== undefined) return opened
        if (holder !== undefined) throw new StorageError('BUSY', 'another handle has it')
        holder = storage
        phase = 'open'
        const sequence = kept.changes({ since: 0, limit: 1_000_000 }).at(-1)?.sequence ?? 0
        const generation = { id: `generation ${crypto.randomUUID()}`, sequence }
        generations.push(generation)
        opened = { ...kept.open(), generation, history: [...generations], writable, level: 'stored' }
        return opened
      },
      close() {
        phase = 'closed'
        if (holder === storage) holder = undefined
      },
    }
    return storage
  }

  return {
    storage: handle(),
    reopen: () => handle(),
    kill() {
      holder = undefined
      return handle()
    },
    loseTail() {
      holder = undefined
      kept = memoryStorage()
      kept.open()
      for (const write of written.slice(0, -1)) write(kept)
      return handle()
    },
    second: () => handle(),
    readOnly: () => handle(false),
    failNext(access, code) {
      broken = { access, code }
    },
  }
}
