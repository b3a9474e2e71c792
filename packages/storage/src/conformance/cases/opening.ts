/**
 * Opening, closing, and calls that come too early, too late or not at all.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Awaitable, CallOptions, Capabilities, Storage } from '../../contract.ts'
import { failsAs, failsWith, failure, holds, same, show, started } from '../assert.ts'
import { accepted, bytes, judged, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type Need, type StorageCase, scenario } from '../subject.ts'

interface Method {
  readonly name: string
  readonly capability?: keyof Capabilities
  readonly call: (storage: Storage, options: CallOptions) => Awaitable<unknown>
}

/** Every method but `open` and `close`, in a call that would be right. */
const METHODS: readonly Method[] = [
  { name: 'knownStates', call: (storage, options) => storage.knownStates(['x'], options) },
  { name: 'headers', call: (storage, options) => storage.headers(['x'], options) },
  { name: 'read', call: (storage, options) => storage.read('x', EMPTY, { ...options, bytesMax: 100 }) },
  {
    name: 'append',
    call: (storage, options) =>
      storage.append([bytes.content('x')], { ...options, marks: new Map([['m', text('1')]]) }),
  },
  { name: 'verifierStates', call: (storage, options) => storage.verifierStates('x', ['s'], options) },
  { name: 'marks', call: (storage, options) => storage.marks({ ...options, prefix: '', limit: 1 }) },
  { name: 'list', capability: 'list', call: (storage, options) => storage.list({ ...options, limit: 1 }) },
  { name: 'count', capability: 'list', call: (storage, options) => storage.count(options) },
  {
    name: 'changes',
    capability: 'changes',
    call: (storage, options) => storage.changes({ ...options, since: 0, limit: 1 }),
  },
  { name: 'readMap', capability: 'maps', call: (storage, options) => storage.readMap('map', options) },
  {
    name: 'mergeMap',
    capability: 'maps',
    call: (storage, options) =>
      storage.mergeMap('map', new Map([['k', { version: [1, 'a'], bytes: text('v') }]]), options),
  },
  {
    name: 'erase',
    capability: 'erase',
    call: (storage, options) => storage.erase('x', [1, 'a'], { ...options, keep: [] }),
  },
]

const CAPABILITIES: readonly Need[] = ['list', 'changes', 'maps', 'erase']

export const opening: readonly StorageCase[] = group('opening', [
  scenario('says which store it is and what it can do', async ({ opened }) => {
    holds(typeof opened.generation.id === 'string' && opened.generation.id !== '', 'a generation with an id')
    holds(Number.isSafeInteger(opened.generation.sequence), 'a generation with a sequence')
    same(opened.writable, true, 'writable')
    holds(['memory', 'stored', 'durable'].includes(opened.level), `a level that is known, got ${show(opened.level)}`)
    for (const name of CAPABILITIES)
      same(typeof opened.capabilities[name as keyof Capabilities], 'boolean', `capability ${name}`)
  }),

  scenario('twice answers the same', async ({ storage, opened }) => {
    accepted((await storage.append([bytes.content('x')]))[0])
    same(await storage.open(), opened, 'second open')
  }),

  scenario('is required before any other call', async ({ unopened, opened }) => {
    const storage = await unopened()
    for (const { name, capability, call } of METHODS)
      if (capability === undefined || opened.capabilities[capability])
        await failsWith('CLOSED', () => call(storage, {}), `${name} before open`)
  }),

  scenario('makes an empty store', async ({ storage, opened }) => {
    same(await storage.knownStates(['x']), [undefined], 'known states')
    same(await storage.headers(['x']), [undefined], 'headers')
    same(await storage.read('x', EMPTY, { bytesMax: 100 }), undefined, 'page')
    same(await storage.marks({ prefix: '', limit: 10 }), [], 'marks')
    if (opened.capabilities.list) same([await storage.count(), await storage.list({ limit: 10 })], [0, []], 'list')
    if (opened.capabilities.changes) same(await storage.changes({ since: 0, limit: 10 }), [], 'changes')
    if (opened.capabilities.maps) same(await storage.readMap('map'), new Map(), 'map')
  }),

  scenario('answers the sequence from which changes go on', ['changes'], async ({ storage, opened }) => {
    accepted((await storage.append([bytes.content('x')]))[0])
    const changes = await storage.changes({ since: opened.generation.sequence, limit: 10 })
    same(
      changes.map((change) => change.id),
      ['x'],
      'changes since the open',
    )
  }),

  scenario('two stores have two generations', async ({ opened, unopened }) => {
    const other = await (await unopened()).open()
    holds(
      other.generation.id !== opened.generation.id,
      `another id than ${show(opened.generation.id)} for another store`,
    )
  }),

  scenario('a method of a capability that is lacking is the caller’s mistake', async ({ storage, opened }) => {
    for (const { name, capability, call } of METHODS)
      if (capability !== undefined && !opened.capabilities[capability])
        await failsAs('TypeError', () => call(storage, {}), `${name} without capability ${capability}`)
  }),
])

export const closing: readonly StorageCase[] = group('closing', [
  scenario('fails every later call with CLOSED, also another open', async ({ storage, opened }) => {
    await storage.close()
    for (const { name, capability, call } of METHODS)
      if (capability === undefined || opened.capabilities[capability])
        await failsWith('CLOSED', () => call(storage, {}), `${name} after close`)
    await failsWith('CLOSED', () => storage.open(), 'open after close')
  }),

  scenario('twice is allowed, and before open', async ({ storage, unopened }) => {
    await storage.close()
    await storage.close()
    await (await unopened()).close()
  }),

  scenario('waits for appends in flight', async ({ storage }) => {
    const appends = ['x', 'y', 'z'].map((id) =>
      started(() => storage.append([bytes.content(id, [bytes.run('a', 0, 50)])])),
    )
    let answered = 0
    for (const append of appends)
      append.then(
        () => answered++,
        () => {},
      )
    await storage.close()
    same(answered, 3, 'appends answered when close had answered')
    for (const append of appends) accepted((await append)[0])
  }),

  scenario('keeps what was in flight', ['reopen'], async ({ storage, subject, open }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 50)])
    const append = started(() => storage.append([content]))
    await storage.close()
    judged((await append)[0])
    await readsBack((await open(subject.reopen?.())).storage, [content])
  }),
])

export const aborting: readonly StorageCase[] = group('aborting', [
  scenario('a signal that was aborted already fails every call with its reason', async ({ storage, opened }) => {
    const reason = new Error('the user left')
    const signal = AbortSignal.abort(reason)
    for (const { name, capability, call } of METHODS) {
      if (capability !== undefined && !opened.capabilities[capability]) continue
      same((await failure(() => call(storage, { signal }), name)) === reason, true, `${name} to fail with the reason`)
    }
    same(await storage.knownStates(['x']), [undefined], 'what an aborted append stored')
    same(await storage.marks({ prefix: '', limit: 10 }), [], 'marks of an aborted append')
    if (opened.capabilities.maps) same(await storage.readMap('map'), new Map(), 'map of an aborted merge')
  }),

  scenario('an aborted erasure erases nothing', ['erase'], async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3)])
    accepted((await storage.append([content]))[0])
    await failure(() => storage.erase('x', [1, 'a'], { keep: [], signal: AbortSignal.abort() }), 'aborted erase')
    await readsBack(storage, [content])
  }),

  scenario('a signal that is not aborted changes nothing', async ({ storage }) => {
    const { signal } = new AbortController()
    const content = bytes.content('x', [bytes.run('a', 0, 3)])
    accepted((await storage.append([content], { signal }))[0])
    same((await storage.knownStates(['x'], { signal }))[0]?.known.sessions, new Map([['a', 3]]), 'known state')
    await readsBack(storage, [content])
  }),

  scenario('an abort in mid-append leaves a document unchanged or complete', async ({ storage }) => {
    const controller = new AbortController()
    const content = bytes.content('x', [bytes.run('a', 0, 20), bytes.run('b', 0, 20)])
    const append = started(() => storage.append([content], { signal: controller.signal }))
    controller.abort()
    await append.catch(() => {})
    const later = bytes.content('y', [bytes.run('a', 0, 3)])
    accepted((await storage.append([later]))[0])
    await readsBack(storage, [later])
    if ((await storage.knownStates(['x']))[0] !== undefined) await readsBack(storage, [content])
  }),
])
