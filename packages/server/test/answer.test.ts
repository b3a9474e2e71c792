/** The answer to a LOAD from the storage alone: message logs, and what was read for them. */
import { EMPTY, equals, type KnownState, knownState, union } from '@tidemark/known-state'
import type { LoadMessage } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { type Append, memoryStorage, type Storage, StorageError, type StoredState } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type AnswerOptions, answer } from '../src/index.ts'
import { wrapped } from './help.ts'

const utf8 = new TextEncoder()

/** `note` with `count` transactions of session `a`, sealed one by one. */
function note(count: number, padding = ''): Append[] {
  const run = (after: number): Append => ({
    id: 'note',
    kind: 'json',
    priority: 3,
    header: utf8.encode('{}'),
    runs: [{ session: 'a', after, transactions: [utf8.encode(`"${after}${padding}"`)], seal: utf8.encode(`${after}`) }],
  })
  return Array.from({ length: count }, (_, after) => run(after))
}

function stored(...contents: Append[]): { storage: Storage; calls: string[] } {
  const real = memoryStorage()
  real.open()
  for (const content of contents) real.append([content])
  const calls: string[] = []
  const storage = wrapped(real, (method, call) => {
    calls.push(method)
    return call()
  })
  return { storage, calls }
}

/** The same storage while only `durable` is in enough of its layers. */
const layered = (storage: Storage, durable: KnownState): Storage =>
  wrapped(storage, async (method, call) => {
    const answer = await call()
    if (method !== 'knownStates') return answer
    return (answer as (StoredState | undefined)[]).map((state) => state && { ...state, durable })
  })

const a = (count: number): KnownState => knownState(true, [['a', count]])
const load = (known: KnownState): LoadMessage => ({ action: 'load', id: 'note', known })
const text = ({ header, sessions }: KnownState): string =>
  header ? [...sessions].map(([session, count]) => `${session}:${count}`).join(' ') || 'header' : '∅'

async function log(storage: Storage, message: LoadMessage, options?: AnswerOptions): Promise<string[]> {
  const lines: string[] = []
  for await (const said of answer(storage, message, options)) {
    if (said.action !== 'content') lines.push(`${said.action.toUpperCase()} ${text(said.known)}`)
    else {
      const runs = said.runs.map(({ after, transactions }) => `a:${after}+${transactions.length}`)
      const until = said.expectUntil && [`until ${text(said.expectUntil)}`]
      lines.push(['CONTENT', ...(said.header ? ['header'] : []), ...runs, ...(until ?? [])].join(' '))
    }
  }
  return lines
}

test('a peer that is up to date costs one known state and no content', async () => {
  const { storage, calls } = stored(...note(3))
  expect(await log(storage, load(a(3)))).toEqual(['KNOWN a:3'])
  expect(calls).toEqual(['knownStates'])
})

test('a peer that is behind is sent what it lacks, and nothing else is said', async () => {
  const { storage } = stored(...note(5))
  expect(await log(storage, load(a(3)))).toEqual(['CONTENT a:3+2'])
  expect(await log(storage, load(EMPTY))).toEqual(['CONTENT header a:0+5'])
  expect(await log(storage, load(a(3)), { knownFirst: true })).toEqual(['KNOWN a:5', 'CONTENT a:3+2'])
  expect(await log(storage, load(EMPTY), { knownFirst: true })).toEqual(['CONTENT header a:0+5'])
})

test('L7: a peer that claims more is asked for it, then told plainly, after what it lacks', async () => {
  const { storage } = stored(...note(3))
  expect(await log(storage, load(a(5)))).toEqual(['LOAD a:3', 'KNOWN a:3'])
  const both = load(knownState(true, [['b', 2]]))
  expect(await log(storage, both)).toEqual(['CONTENT a:0+3', 'LOAD a:3', 'KNOWN a:3'])
  expect(await log(storage, both, { knownFirst: true })).toEqual(['LOAD a:3', 'KNOWN a:3', 'CONTENT a:0+3'])
  expect(await log(stored().storage, load(a(5)))).toEqual(['LOAD ∅', 'KNOWN ∅'])
})

test('what is not stored is said to be absent, and what could not be read is an exception', async () => {
  const { storage } = stored()
  expect(await log(storage, load(EMPTY))).toEqual(['KNOWN ∅'])
  const failing = wrapped(storage, () => Promise.reject(new Error('disk on fire')))
  await expect(log(failing, load(EMPTY))).rejects.toThrow('disk on fire')
})

test('a probe is answered with a known state only', async () => {
  const { storage, calls } = stored(...note(3))
  expect(await log(storage, { ...load(EMPTY), probe: true })).toEqual(['KNOWN a:3'])
  expect(calls).toEqual(['knownStates'])
})

test('an erased document covers every claim', async () => {
  const { storage } = stored(...note(3))
  await storage.erase('note', [1, 'x'], { keep: [] })
  expect(await log(storage, load(a(3)))).toEqual(['KNOWN a:3'])
})

test('L3: of a storage made of several no more is named than enough of them have', async () => {
  const { storage } = stored(...note(5))
  const slow = layered(storage, a(3))
  expect(await log(slow, load(a(5)))).toEqual(['KNOWN a:3'])
  expect(await log(slow, load(a(4)), { knownFirst: true })).toEqual(['KNOWN a:3', 'CONTENT a:4+1'])
  expect(await log(slow, load(a(9)))).toEqual(['LOAD a:3', 'KNOWN a:3'])
  expect(await log(slow, { ...load(EMPTY), probe: true })).toEqual(['KNOWN a:3'])
})

test('L8: a long document leaves in pages that end at seals, announced by the first, one at a time', async () => {
  const { storage, calls } = stored(...note(40, 'x'.repeat(1_000)))
  const pages = answer(storage, load(a(2)), { pageBytes: 10_000 })
  await pages.next()
  expect(calls).toEqual(['knownStates', 'read'])
  const lines = await log(storage, load(a(2)), { pageBytes: 10_000 })
  expect(lines[0]).toMatch(/^CONTENT a:2\+\d+ until a:40$/)
  expect(lines.length).toBeGreaterThan(3)
  expect(lines.slice(1).some((line) => line.includes('until'))).toBe(false)
})

test('whatever a peer holds of what is stored, it holds all of it afterwards', async () => {
  const { storage } = stored(...note(20, 'x'.repeat(100)))
  for (let count = 0; count <= 20; count++) {
    let held = count === 0 ? EMPTY : a(count)
    for await (const said of answer(storage, load(held), { pageBytes: 500 })) {
      if (said.action !== 'content') continue
      for (const run of said.runs) {
        expect(run.after).toBe(held.sessions.get('a') ?? 0)
        held = union(held, a(run.after + run.transactions.length))
      }
    }
    expect(equals(held, a(20))).toBe(true)
  }
})

test('an answer that is no longer wanted ends with the reason of its signal', async () => {
  const { storage } = stored(...note(40, 'x'.repeat(1_000)))
  const over = new AbortController()
  const pages = answer(storage, load(EMPTY), { pageBytes: 1_000, signal: over.signal })
  await pages.next()
  over.abort(new Error('disconnected'))
  await expect(pages.next()).rejects.toThrow('disconnected')
})

test('an answer that is no longer wanted does not wait for a storage that hangs', async () => {
  const over = new AbortController()
  const hanging = wrapped(stored(...note(1)).storage, () => new Promise(() => {}))
  const first = answer(hanging, load(EMPTY), { signal: over.signal }).next()
  over.abort(new Error('disconnected'))
  await expect(first).rejects.toThrow('disconnected')
})

test('what the layers that answer hold is an answer while another is silent', async () => {
  const [a, b] = [stored(...note(3)).storage, stored(...note(3)).storage]
  const silent = wrapped(b, (method, call) => {
    if (method === 'knownStates') throw new StorageError('IO', 'the disk is gone')
    return call()
  })
  const storage = layers([a, silent], { policy: 'any-durable' })
  await storage.open()
  expect(await log(storage, load(EMPTY))).toEqual(['CONTENT header a:0+3'])
  await storage.close()
})
