/**
 * Random histories: clients that write, come and go, on storages and networks that fail; then everything works again.
 *
 * What was resolved is everywhere, what was rejected is nowhere, and every handle was given everything once.
 */
import { type Dialect, jazz, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { type AppendResult, memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientError, type Doc, jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { collect, createWorld, type Node, replaced, type World } from './world.ts'

const RUNS = process.env.TIDEMARK_LARGE ? 3_000 : 60
const seed = Number(process.env.TIDEMARK_SEED ?? 20_261_121)
const header = jsonPayload({ root: true })

type Step =
  | { readonly do: 'append'; readonly client: number; readonly handle: number; readonly count: number }
  | { readonly do: 'open' | 'close'; readonly client: number; readonly handle: number }
  | { readonly do: 'disconnect' | 'reconnect'; readonly client: number }
  | { readonly do: 'cut' }
  | { readonly do: 'break'; readonly store: number; readonly how: Failing }
  | { readonly do: 'pass'; readonly ms: number }

type Failing = 'append' | 'document' | 'look' | undefined

const client = fc.nat(1)
const handle = fc.nat(1)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        client,
        handle,
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('open' as const, 'close' as const), client, handle }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('disconnect' as const, 'reconnect' as const), client }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('break' as const),
        store: fc.nat(2),
        how: fc.constantFrom<Failing[]>('append', 'document', 'look', undefined, undefined),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 100, 3_000) }) },
  ),
  { minLength: 5, maxLength: 40 },
)

interface Fragile {
  readonly storage: Storage
  readonly real: Storage
  failing: Failing
}

function fragile(): Fragile {
  const real = memoryStorage()
  const fail = () => {
    throw new StorageError('IO', 'broken')
  }
  const state: Fragile = {
    real,
    failing: undefined,
    storage: replaced(real, {
      knownStates: (ids) => (state.failing === 'look' ? fail() : real.knownStates(ids)),
      append(batch) {
        if (state.failing === 'append') return fail()
        if (state.failing === 'document') return batch.map((): AppendResult => ({ failed: 'QUOTA' }))
        return real.append(batch)
      },
    }),
  }
  return state
}

interface Open {
  readonly doc: Doc
  readonly session: string
  readonly got: string[]
}

class History {
  readonly resolved = new Set<string>()
  readonly rejected = new Set<string>()
  readonly handles = new Map<string, Open>()
  readonly writing: Promise<unknown>[] = []
  sessions = 0
  written = 0
  readonly world: World
  readonly stores: readonly Fragile[]
  readonly nodes: readonly Node[]

  constructor(world: World, stores: readonly Fragile[], nodes: readonly Node[]) {
    this.world = world
    this.stores = stores
    this.nodes = nodes
  }

  open(client: number, handle: number): Open {
    const key = `${client} ${handle}`
    const present = this.handles.get(key)
    if (present !== undefined) return present
    const doc = (this.nodes[client] as Node).client.open('note')
    this.sessions += 1
    const opened = { doc, session: `s${this.sessions}`, got: collect(doc) }
    this.handles.set(key, opened)
    return opened
  }

  append({ doc, session }: Open, count: number): void {
    const texts = Array.from({ length: count }, () => {
      this.written += 1
      return `${this.written}`
    })
    const note = (to: Set<string>) => () => {
      for (const text of texts) to.add(text)
    }
    const refused = (error: unknown) => {
      expect(error).toBeInstanceOf(ClientError)
      note(this.rejected)()
    }
    this.writing.push(doc.append(session, texts.map(Number).map(jsonPayload)).then(note(this.resolved), refused))
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        return this.append(this.open(step.client, step.handle), step.count)
      case 'open':
        return void this.open(step.client, step.handle)
      case 'close': {
        const key = `${step.client} ${step.handle}`
        this.writing.push(this.handles.get(key)?.doc.close() ?? Promise.resolve())
        return void this.handles.delete(key)
      }
      case 'disconnect':
        return (this.nodes[step.client] as Node).client.disconnect()
      case 'reconnect':
        return (this.nodes[step.client] as Node).client.reconnectNow()
      case 'cut':
        return this.world.server.cut()
      case 'break':
        ;(this.stores[step.store] as Fragile).failing = step.how
        return
      case 'pass':
        return this.world.clock.advance(step.ms)
    }
  }

  /** Everything works again, for long enough. */
  async heal(): Promise<void> {
    for (const store of this.stores) store.failing = undefined
    for (const { client } of this.nodes) client.reconnectNow()
    await this.world.clock.advance(700_000)
    await Promise.all(this.writing)
    for (const { client } of this.nodes) {
      client.disconnect()
      client.reconnectNow()
    }
    await this.world.clock.advance(60_000)
  }
}

async function contentOf({ real }: Fragile): Promise<string[]> {
  const page = await real.read('note', { header: false, sessions: new Map() }, { bytesMax: 1_000_000 })
  const decoder = new TextDecoder()
  const lines = page?.runs.flatMap(({ session, transactions }) =>
    transactions.map((transaction, index) => `${session}:${index}=${decoder.decode(transaction)}`),
  )
  return (lines ?? []).sort()
}

/** The server of this world sends no pings in the Jazz dialect. */
const PATIENT = { silenceMsMax: 1e9, connectMsMax: 1e9 }

async function play(dialect: Dialect, all: readonly Step[]): Promise<void> {
  const stores = [fragile(), fragile(), fragile()]
  const world = await createWorld(dialect, { storage: (stores[2] as Fragile).storage })
  const nodes = [
    await world.client({ storage: (stores[0] as Fragile).storage, limits: PATIENT }),
    await world.client({ storage: (stores[1] as Fragile).storage, limits: PATIENT }),
  ]
  const root = await (nodes[0] as Node).client.create('note', { header })
  await root.whenUploaded()
  const history = new History(world, stores, nodes)
  for (const client of [0, 1]) history.open(client, 0)
  await rest()
  for (const step of all) await history.take(step)
  await history.heal()

  const [a, b, server] = await Promise.all(stores.map(contentOf))
  expect(a).toEqual(server)
  // Whoever closed the document need not have what was written since.
  const wants = ['1 0', '1 1'].some((key) => history.handles.has(key))
  expect(wants ? b : server).toEqual(server)
  expect(server).toEqual(expect.arrayContaining(b ?? []))
  const texts = (server ?? []).map((line) => line.split('=')[1])
  expect(texts.toSorted()).toEqual([...history.resolved].sort())
  expect(texts.filter((text) => history.rejected.has(text ?? ''))).toEqual([])
  for (const { doc, session, got } of history.handles.values()) {
    const own = (server ?? []).filter((line) => line.startsWith(`${session}:`))
    expect([...got.filter((line) => line !== 'header'), ...own].sort()).toEqual(server)
    expect(doc.status.uploaded).toBe(true)
  }
  await world.end()
  for (const { client } of nodes) expect(client.sizes()).toMatchObject({ connections: 0, subscriptions: 0, queued: 0 })
}

/** Histories that have shown something once. */
const FOUND: [Step[]][] = [
  // What turned out to be there already was owed for ever.
  [
    [
      { do: 'cut' },
      { do: 'append', client: 0, handle: 0, count: 1 },
      { do: 'reconnect', client: 1 },
      { do: 'append', client: 0, handle: 0, count: 1 },
      { do: 'append', client: 0, handle: 0, count: 1 },
      { do: 'cut' },
    ],
  ],
]

for (const dialect of [tidemarkBinary, tidemarkJson, jazz])
  test(`in the dialect ${dialect.name}: resolved is everywhere, rejected nowhere, given once`, {
    timeout: process.env.TIDEMARK_LARGE ? 3_600_000 : 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, (all) => play(dialect, all)),
      { seed, numRuns: RUNS, examples: FOUND },
    )
  })
