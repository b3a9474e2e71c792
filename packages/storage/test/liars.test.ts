/**
 * The kit finds liars: stores that are wrong in one way each, as real engines have been, and the group that says so.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Run } from '@tidemark/protocol'
import { describe, expect, test } from 'vitest'
import { delayed, faults, type MakeStorage, type Subject, storageCases } from '../src/conformance.ts'
import type { Append, AppendResult, StoredState } from '../src/index.ts'
import { memoryStorage, type Storage, type SynchronousStorage } from '../src/index.ts'
import { shelf } from './shelf.ts'

/** Memory, with some methods replaced by what `lie` makes of them. */
const liar = (lie: (honest: SynchronousStorage) => Partial<Storage>): MakeStorage => {
  return () => {
    const honest = memoryStorage()
    return { ...faults(honest), ...lie(honest) }
  }
}

/** A shelf all of whose handles lie. */
const lastingLiar = (lie: (honest: Storage) => Partial<Storage>): MakeStorage => {
  return () => {
    const honest = shelf()
    const lying = (handle: unknown): Storage => ({ ...(handle as Storage), ...lie(handle as Storage) })
    return {
      ...honest,
      storage: lying(honest.storage),
      reopen: () => lying(honest.reopen?.()),
      kill: () => lying(honest.kill?.()),
      loseTail: () => lying(honest.loseTail?.()),
    } satisfies Subject
  }
}

/** A shelf on which something of the last append is left after the power was lost. */
const tornLiar = (left: (batch: readonly Append[]) => readonly Append[]): MakeStorage => {
  return () => {
    const honest = shelf()
    let last: readonly Append[] = []
    const append: Storage['append'] = (batch, options) => {
      last = batch
      return honest.storage.append(batch, options)
    }
    return {
      ...honest,
      storage: { ...honest.storage, append },
      loseTail() {
        const after = honest.loseTail?.() as Storage
        const open: Storage['open'] = async (options) => {
          const opened = await after.open(options)
          await after.append(left(last))
          return opened
        }
        return { ...after, open }
      },
    } satisfies Subject
  }
}

const withRuns = (batch: readonly Append[], change: (run: Run, content: Append) => Run): readonly Append[] =>
  batch.map((content) => ({ ...content, runs: content.runs.map((run) => change(run, content)) }))

const renamed = (rename: (id: string) => string) =>
  liar((honest) => ({
    knownStates: (ids, options) => honest.knownStates(ids.map(rename), options),
    headers: (ids, options) => honest.headers(ids.map(rename), options),
    append: (batch, options) =>
      honest.append(
        batch.map((content) => ({ ...content, id: rename(content.id) })),
        options,
      ),
    read(id, after, options) {
      const page = honest.read(rename(id), after, options)
      return page && { ...page, id }
    },
  }))

const tick = () => new Promise<void>((resolve) => setTimeout(resolve))

/** What the store does wrong, how, and a group of the kit that must find it. */
const LIARS: readonly (readonly [what: string, group: string, make: MakeStorage])[] = [
  [
    'acknowledges without writing',
    'append',
    liar(() => ({
      append(batch, options) {
        const other = memoryStorage()
        other.open()
        return other.append(batch, options)
      },
    })),
  ],
  [
    'acknowledges before it has written',
    'order',
    liar((honest) => ({
      append(batch, options) {
        const results = forecast(honest, batch)
        void tick()
          .then(() => honest.append(batch, options))
          .catch(() => {})
        return results
      },
    })),
  ],
  [
    'drops the seal when it writes',
    'seals',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          withRuns(batch, ({ seal: _, ...run }) => run),
          options,
        ),
    })),
  ],
  [
    'drops the seal when it reads',
    'seals',
    liar((honest) => ({
      read(...args) {
        const page = honest.read(...args)
        return page && { ...page, runs: page.runs.map(({ seal: _, ...run }) => run) }
      },
    })),
  ],
  [
    'slices forks away',
    'overlap',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          withRuns(batch, (run, content) => {
            const have = honest.knownStates([content.id])[0]?.known.sessions.get(run.session) ?? 0
            const skipped = Math.min(Math.max(0, have - run.after), run.transactions.length)
            const { digest: _, ...rest } = run
            return { ...rest, after: run.after + skipped, transactions: run.transactions.slice(skipped) }
          }),
          options,
        ),
    })),
  ],
  [
    'ignores the digest of a run',
    'overlap',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          withRuns(batch, ({ digest: _, ...run }) => run),
          options,
        ),
    })),
  ],
  [
    'closes gaps by moving the run',
    'append',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          withRuns(batch, (run, content) => {
            const have = honest.knownStates([content.id])[0]?.known.sessions.get(run.session) ?? 0
            return { ...run, after: Math.min(run.after, have) }
          }),
          options,
        ),
    })),
  ],
  [
    'refuses all of a content for one gap',
    'append',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          batch.map((content) => {
            const [state] = honest.knownStates([content.id])
            const gap = content.runs.some((run) => run.after > (state?.known.sessions.get(run.session) ?? 0))
            return gap
              ? { ...content, runs: content.runs.map((run) => ({ ...run, after: run.after + 1_000_000 })) }
              : content
          }),
          options,
        ),
    })),
  ],
  [
    'takes a second header',
    'append',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          batch.map((content) => {
            const { header, ...headless } = content
            return header !== undefined && honest.headers([content.id])[0] !== undefined ? headless : content
          }),
          options,
        ),
    })),
  ],
  [
    'takes any priority',
    'append',
    liar((honest) => ({
      append: (batch, options) =>
        honest.append(
          batch.map((content) => ({ ...content, priority: content.priority === (8 as number) ? 0 : content.priority })),
          options,
        ),
    })),
  ],
  [
    'answers out of order',
    'append',
    liar((honest) => ({ append: (batch, options) => honest.append(batch, options).toReversed() })),
  ],
  [
    'writes one session after the other',
    'order',
    liar((honest) => {
      const slow = delayed(honest)
      return {
        ...slow,
        async append(batch, options) {
          const parts = batch.flatMap((content) =>
            content.runs.length > 1 && content.runs.length < 4
              ? content.runs.map((run) => ({ ...content, runs: [run] }))
              : [content],
          )
          let results: readonly AppendResult[] = []
          for (const part of parts) results = [...results, ...(await slow.append([part], options))]
          return results.slice(-batch.length)
        },
      }
    }),
  ],
  [
    'performs appends in any order',
    'order',
    liar((honest) => {
      let calls = 0
      return {
        async append(batch, options) {
          calls++
          for (let turn = 0; turn < (calls % 3) * 2; turn++) await undefined
          return honest.append(batch, options)
        },
      }
    }),
  ],
  [
    'answers a known state of yesterday',
    'known states',
    liar((honest) => {
      const first = new Map<string, StoredState>()
      return {
        knownStates: (ids, options) =>
          honest.knownStates(ids, options).map((state, index) => {
            const id = ids[index] as string
            if (state !== undefined && !first.has(id)) first.set(id, state)
            return first.get(id)
          }),
      }
    }),
  ],
  [
    'answers without repeats',
    'known states',
    liar((honest) => ({ knownStates: (ids, options) => honest.knownStates([...new Set(ids)], options) })),
  ],
  [
    'leaves out what is absent',
    'known states',
    liar((honest) => ({
      knownStates: (ids, options) => honest.knownStates(ids, options).filter((state) => state !== undefined),
    })),
  ],
  [
    'answers absent when it failed',
    'disk',
    lastingLiar((honest) => ({
      knownStates(ids, options) {
        try {
          return honest.knownStates(ids, options)
        } catch (cause) {
          if (cause instanceof Error && 'code' in cause && cause.code === 'IO') return ids.map(() => undefined)
          throw cause
        }
      },
    })),
  ],
  [
    'swallows write errors',
    'disk',
    lastingLiar((honest) => ({
      async append(batch, options) {
        try {
          return await honest.append(batch, options)
        } catch (cause) {
          if (cause instanceof Error && 'code' in cause && cause.code === 'IO')
            return batch.map((content) => ({ state: stateOf(content), refused: new Map() }))
          throw cause
        }
      },
    })),
  ],
  ['merges documents that are prefixes of each other', 'ids', renamed((id) => (id.startsWith('doc-1') ? 'doc-1' : id))],
  ['cuts ids at NUL', 'ids', renamed((id) => id.split('\u0000')[0] || id)],
  ['normalises ids', 'ids', renamed((id) => id.normalize('NFC'))],
  ['does not tell case apart', 'ids', renamed((id) => id.toLowerCase())],
  ['puts U+FFFD for lone surrogates', 'ids', renamed((id) => toWellFormed(id))],
  ['takes long ids', 'ids', renamed((id) => (id.length > 256 ? id.slice(0, 256) : id))],
  [
    'forgets marks',
    'marks',
    liar((honest) => ({ append: (batch, options) => honest.append(batch, { ...options, marks: new Map() }) })),
  ],
  [
    'sets marks before it has checked the batch',
    'ids',
    liar((honest) => ({
      append(batch, options) {
        honest.append([], options)
        return honest.append(batch, options)
      },
    })),
  ],
  [
    'cannot remove a mark',
    'marks',
    liar((honest) => ({
      append(batch, options) {
        const marks = new Map([...(options?.marks ?? [])].map(([key, value]) => [key, value ?? new Uint8Array(0)]))
        return honest.append(batch, { ...options, marks })
      },
    })),
  ],
  [
    'lists marks by the characters of a prefix, not by the prefix',
    'marks',
    liar((honest) => ({ marks: (options) => honest.marks({ ...options, prefix: options.prefix.slice(0, 1) }) })),
  ],
  [
    'makes pages four times as large',
    'pages',
    liar((honest) => ({
      read: (id, after, options) => honest.read(id, after, { ...options, bytesMax: options.bytesMax * 4 }),
    })),
  ],
  [
    'ignores the cursor',
    'pages',
    liar((honest) => ({ read: (id, _after, options) => honest.read(id, EMPTY, options) })),
  ],
  [
    'says that nothing more comes',
    'pages',
    liar((honest) => ({
      read(...args) {
        const page = honest.read(...args)
        return page && { ...page, more: false }
      },
    })),
  ],
  [
    'reads the sessions of a page in the order of their arrival',
    'pages',
    liar((honest) => ({
      read(...args) {
        const page = honest.read(...args)
        return page && { ...page, runs: page.runs.toReversed() }
      },
    })),
  ],
  [
    'cuts sealed runs',
    'seals',
    liar((honest) => ({
      read(...args) {
        const page = honest.read(...args)
        const [run] = page?.runs ?? []
        if (page === undefined || run?.seal === undefined || run.transactions.length < 2) return page
        const { seal: _, ...unsealed } = run
        const end = { header: true, sessions: new Map(args[1].sessions).set(run.session, run.after + 1) }
        return { ...page, runs: [{ ...unsealed, transactions: run.transactions.slice(0, 1) }], end, more: true }
      },
    })),
  ],
  [
    'carries the digest of the end on each run',
    'digests',
    liar((honest) => ({
      read(...args) {
        const page = honest.read(...args)
        const digests = honest.knownStates([args[0]])[0]?.digests
        return page && { ...page, runs: page.runs.map((run) => ({ ...run, digest: digests?.get(run.session) ?? '' })) }
      },
    })),
  ],
  [
    'takes every document for one page',
    'paged',
    liar((honest) => ({
      knownStates: (ids, options) =>
        honest.knownStates(ids, options).map((state) => state && { ...state, paged: false }),
    })),
  ],
  [
    'has no digests',
    'digests',
    liar((honest) => ({
      knownStates: (ids, options) =>
        honest.knownStates(ids, options).map((state) => state && { ...state, digests: new Map() }),
    })),
  ],
  [
    'loses the order of changes',
    'changes',
    liar((honest) => ({
      changes: (options) => honest.changes(options).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    })),
  ],
  [
    'answers changes from the start',
    'changes',
    liar((honest) => ({ changes: (options) => honest.changes({ ...options, since: 0 }) })),
  ],
  [
    'lists in the order of JavaScript',
    'list',
    liar((honest) => ({ list: (options) => honest.list(options).toSorted() })),
  ],
  ['counts what was asked of it', 'list', liar(() => ({ count: () => 0 }))],
  [
    'joins maps by who comes last',
    'maps',
    liar((honest) => {
      const maps = new Map<string, Map<string, never>>()
      return {
        readMap(name, options) {
          honest.readMap(name, options)
          return maps.get(name) ?? new Map()
        },
        mergeMap(name, entries, options) {
          const result = honest.mergeMap(name, entries, options)
          maps.set(name, new Map([...(maps.get(name) ?? []), ...(entries as Map<string, never>)]))
          return result
        },
      }
    }),
  ],
  [
    'erases what is to be kept',
    'erase',
    liar((honest) => ({ erase: (id, version, options) => honest.erase(id, version, { ...options, keep: [] }) })),
  ],
  [
    'takes content for what was erased',
    'erase',
    liar((honest) => ({
      erase: (id, _version, options) => honest.knownStates([id], options)[0],
    })),
  ],
  [
    'closes without waiting',
    'closing',
    liar((honest) => ({
      async append(batch, options) {
        await tick()
        return honest.append(batch, options)
      },
    })),
  ],
  ['goes on after it was closed', 'closing', liar(() => ({ close: () => {} }))],
  ['does not look at signals', 'aborting', liar((honest) => ({ knownStates: (ids) => honest.knownStates(ids) }))],
  [
    'needs no open',
    'opening',
    () => {
      const honest = memoryStorage()
      honest.open()
      return faults(honest)
    },
  ],
  [
    'has one generation for ever',
    'reopen',
    lastingLiar((honest) => ({
      async open(options) {
        const opened = await honest.open(options)
        return { ...opened, generation: { ...opened.generation, id: 'me' }, history: [{ id: 'me', sequence: 0 }] }
      },
    })),
  ],
  [
    'keeps verifier states for the process only',
    'reopen',
    lastingLiar((honest) => {
      const states = new Set<string>()
      return {
        async append(batch, options) {
          for (const { verifier } of batch) for (const session of verifier?.keys() ?? []) states.add(session)
          return honest.append(batch, options)
        },
        verifierStates: (id, sessions, options) =>
          honest.verifierStates(
            id,
            sessions.filter((session) => states.has(session)),
            options,
          ),
      }
    }),
  ],
  [
    'keeps half of what was torn when the power was lost',
    'disk',
    tornLiar((batch) => batch.map((content) => ({ ...content, runs: content.runs.slice(0, 1) }))),
  ],
  ['keeps content that was torn without its marks', 'disk', tornLiar((batch) => batch)],
  [
    'honours a mark of what it lost with the power',
    'disk',
    lastingLiar((honest) => ({
      async open(options) {
        const opened = await honest.open(options)
        const history = opened.history?.map((generation, index) => ({ ...generation, sequence: 1000 * index }))
        return history === undefined ? opened : { ...opened, history }
      },
    })),
  ],
]

describe('the kit finds a store that', () => {
  for (const [what, group, make] of LIARS) {
    test(what, async () => {
      expect(await convictions(group, make)).not.toEqual([])
    })
  }

  test('and nothing in the same wrappers without a lie', async () => {
    for (const group of new Set(LIARS.map(([, name]) => name))) {
      expect(
        await convictions(
          group,
          liar(() => ({})),
        ),
      ).toEqual([])
      expect(
        await convictions(
          group,
          lastingLiar(() => ({})),
        ),
      ).toEqual([])
    }
  })
})

/** Names of the cases of a group that fail. */
async function convictions(group: string, make: MakeStorage): Promise<readonly string[]> {
  const names: string[] = []
  for (const kitCase of storageCases)
    if (kitCase.group === group) await kitCase.run(make).catch(() => names.push(kitCase.name))
  return names
}

/** What an append would answer, without doing it. */
function forecast(honest: SynchronousStorage, batch: readonly Append[]): readonly AppendResult[] {
  return batch.map((content) => {
    const [held] = honest.knownStates([content.id])
    return { state: { ...stateOf(content), ...held }, refused: new Map() }
  })
}

function stateOf(content: Append): StoredState {
  const counts = content.runs.map((run) => [run.session, run.after + run.transactions.length] as const)
  return {
    known: { header: true, sessions: new Map(counts) },
    kind: content.kind,
    priority: content.priority,
    digests: new Map(),
    lastRuns: new Map(),
    paged: false,
    erased: undefined,
  }
}

function toWellFormed(id: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(id))
}
