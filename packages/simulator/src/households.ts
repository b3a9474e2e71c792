/**
 * The scenario that the engine itself is tested with: a few clients of one server who write, read, come and go.
 *
 * A note and a list that depend on a group; who may read and write what is not the same for all. In the end everything heals, most
 * documents are opened again, and the laws are judged. Not here: troubles.
 */
import type { Doc } from '@tidemark/client'
import { type AckLevel, type Dialect, jazz, type PayloadKind, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import type { Append } from '@tidemark/storage'
import type { Verified } from '@tidemark/sync'
import type { Chance } from './chance.ts'
import { checkCount } from './check.ts'
import type { ClientNode, Run } from './client-node.ts'
import type { ServerNode } from './server-node.ts'
import type { Scenario } from './simulate.ts'
import { trouble } from './troubles.ts'
import type { ServerOptions, World } from './world.ts'

export interface Households {
  readonly clients: number
  readonly operations: number
  /** How its server is made. */
  readonly server?: Pick<ServerOptions, 'disks' | 'policy'>
  /**
   * Worlds differ in more than their luck, by the seed: what clients speak, whether documents are JSON, whether the server verifies
   * content, whether somebody erases a document, whether there is a meter, what disks promise. Default: our own dialect as JSON, bytes,
   * nothing verified or erased, no meter, durable disks.
   */
  readonly varied?: boolean | Partial<Variety>
}

export interface Variety {
  /** One of them for each client. */
  readonly dialects: readonly Dialect[]
  readonly kind: PayloadKind
  /** The server verifies content, and what `c2` writes to the note is not genuine. */
  readonly verifies: boolean
  readonly erases: boolean
  /** A meter, which may not read the list, writes it. */
  readonly metered: boolean
  /** What the disks of the server and of each client promise. Default `durable`. */
  readonly levels: Levels
  /** Who waits for the upload of a document wants it to be durable there. */
  readonly wantsDurable: boolean
}

interface Levels {
  readonly server?: AckLevel
  readonly clients?: AckLevel
}

const PLAIN: Variety = {
  dialects: [tidemarkJson],
  kind: 'bytes',
  verifies: false,
  erases: false,
  metered: false,
  levels: {},
  wantsDurable: false,
}

/** What was added later has luck of its own: the worlds of before stay as they were. */
function varietyOf(
  varied: boolean | Partial<Variety>,
  chance: Chance,
  [meters, disks]: readonly [Chance, Chance],
): Variety {
  if (typeof varied === 'object') return { ...PLAIN, ...varied }
  if (!varied) return PLAIN
  // What the Jazz dialect cannot carry is not JSON.
  const isJson = chance.happens(0.2)
  return {
    kind: isJson ? 'json' : 'bytes',
    dialects: isJson ? [tidemarkJson, tidemarkBinary, jazz] : [tidemarkJson, tidemarkBinary],
    verifies: chance.happens(0.25),
    erases: chance.happens(0.2),
    metered: meters.happens(0.25),
    levels: { ...(disks.happens(0.25) && { server: 'stored' }), ...(disks.happens(0.25) && { clients: 'stored' }) },
    wantsDurable: disks.happens(0.5),
  }
}

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Document → what it needs. */
const DOCUMENTS: Readonly<Record<string, readonly string[]>> = { group: [], note: ['group'], list: ['group', 'note'] }
const IDS = Object.keys(DOCUMENTS)
const LASTS_MS = 30_000
/** Together as long as the longest back-off, and some more. */
const HEALS_MS = 200_000

/** How often somebody does not open a document again. */
const LEFT = 0.15

const ERASER = 'eraser of '

const isTombstone = (session: string): boolean => session.startsWith(ERASER)

export const hooks = {
  dependenciesOf(header: Uint8Array | undefined): readonly string[] {
    return header === undefined ? [] : (JSON.parse(text.decode(header)).needs ?? [])
  },
}

const METER = 'meter'
const METER_READINGS = 8

/** `c3` may not read the list, `c2` not write it, the meter only write it. */
function authorize(client: string, action: 'read' | 'write', id: string): boolean {
  if (client === METER) return id === 'list' && action === 'write'
  if (id !== 'list') return true
  return client !== 'c3' && (client !== 'c2' || action === 'read')
}

/** What `c2` writes to the note is not genuine. */
const isGenuine = (client: string, id: string): boolean => id !== 'note' || client !== 'c2'

/** Takes what is genuine and goes on from what it left behind: how much of the session it has seen. */
function verify({ id, runs }: Append, states: ReadonlyMap<string, Uint8Array | undefined>): Verified {
  const accepted = new Map<string, number>()
  const left = new Map<string, Uint8Array>()
  for (const { session, after, transactions } of runs) {
    const seen = Number(text.decode(states.get(session)))
    if (seen !== after || !isGenuine(writerOf(session), id)) continue
    accepted.set(session, transactions.length)
    left.set(session, utf8.encode(`${after + transactions.length}`))
  }
  return { accepted, states: left }
}

/** `c2` of `c2.1`. */
const writerOf = (session: string): string => session.slice(0, session.indexOf('.'))

export function households({ clients, operations, server: made = {}, varied = false }: Households): Scenario {
  checkCount('clients', clients, 1)
  checkCount('operations', operations, 0)
  return async (world) => {
    const variety = world.chance('variety')
    const later = [world.chance('metered'), world.chance('levels')] as const
    const { dialects, kind, verifies, erases, metered, levels, wantsDurable } = varietyOf(varied, variety, later)
    const knows = { ...hooks, ...(erases && { isTombstone }) }
    const users = new Map<string, User>()
    let written = 0
    const server = await world.server('server', {
      ...made,
      ...(levels.server !== undefined && { level: levels.server }),
      proveContinuity: kind === 'json',
      hooks: { ...knows, authorize, ...(verifies && { verify, accepts: isGenuine }) },
    })
    for (let number = 1; number <= clients; number++)
      await world.client(`c${number}`, {
        server,
        hooks: knows,
        kind,
        ...(levels.clients !== undefined && { level: levels.clients }),
        dialect: variety.pick(dialects),
        application: (run) =>
          users.set(
            run.name,
            createUser(
              run,
              world.chance(`user ${run.name} ${run.number}`),
              (session) => {
                written += 1
                return utf8.encode(JSON.stringify(`${session}/${written}`))
              },
              wantsDurable ? 'durable' : undefined,
            ),
          ),
      })
    const userOf = (name: string) => {
      const node = world.clients.find((client) => client.name === name)
      return node?.client === undefined ? undefined : users.get(name)
    }
    plan(world, world.chance('operations'), operations, userOf)
    if (erases) {
      const chance = world.chance('eraser')
      const { name } = chance.pick(world.clients.filter(({ name }) => authorize(name, 'write', 'list')))
      world.stepAfter(chance.next() * LASTS_MS, `${name} erases list`, () => userOf(name)?.erase('list'))
    }
    if (metered) meter(world, server, kind)
    // Without digests nobody promises to find every fork.
    trouble(world, LASTS_MS, { reuses: kind === 'bytes' })
    await world.pass(LASTS_MS)
    await world.heal()
    const left = leave(world.clients, world.chance('left'))
    const everybodyOpensAll = () => {
      for (const { name, client } of world.clients) {
        client?.reconnectNow()
        // Also what nobody opens again: whose handle failed while there was trouble asks once more.
        userOf(name)?.retry()
        for (const id of IDS) if (!left.get(name)?.has(id)) userOf(name)?.open(id)
      }
    }
    everybodyOpensAll()
    await world.pass(HEALS_MS)
    // What was refused, or failed for long, is asked for again by the application; nothing else may need a new connection to heal.
    if (world.seed % 2 === 0) for (const { name } of world.clients) world.network.cut(name)
    everybodyOpensAll()
    await world.pass(HEALS_MS)
    await world.judge()
  }
}

/** Writes now and then, and is cut off once. */
function meter(world: World, server: ServerNode, kind: PayloadKind): void {
  const chance = world.chance(METER)
  const writer = world.writer(METER, { server, kind, id: 'list', session: `${METER}.1`, header: headerOf('list') })
  for (let reading = 1; reading <= METER_READINGS; reading++)
    world.stepAfter(chance.next() * LASTS_MS, `${METER} writes ${reading}`, () =>
      writer.write(utf8.encode(JSON.stringify(`${METER}.1/${reading}`))),
    )
  world.stepAfter(chance.next() * LASTS_MS, `the connection of ${METER} is cut`, () => world.network.cut(METER))
}

/** Client → what nobody there opens any more: it is uploaded all the same. */
function leave(clients: readonly ClientNode[], chance: Chance): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(clients.map(({ name }) => [name, new Set(IDS.filter(() => chance.happens(LEFT)))]))
}

function plan(world: World, chance: Chance, operations: number, userOf: (name: string) => User | undefined): void {
  const { clients } = world
  for (let left = operations; left > 0; left--) {
    const { name } = chance.pick(clients)
    const id = chance.pick(IDS)
    const at = chance.next() * LASTS_MS
    const count = 1 + chance.below(3)
    const luck = chance.next()
    const step = (what: string, act: (user: User) => void) =>
      world.stepAfter(at, `${name} ${what}`, () => {
        const user = userOf(name)
        if (user !== undefined) act(user)
      })
    if (luck < 0.6) step(`writes ${count} to ${id}`, (user) => user.write(id, count))
    else if (luck < 0.7) step(`opens ${id}`, (user) => user.open(id))
    else if (luck < 0.78) step(`closes ${id}`, (user) => user.close(id))
    else if (luck < 0.82) step(`waits for the upload of ${id}`, (user) => user.waitForUpload(id))
    else if (luck < 0.84) step('waits for the upload of everything', (user) => user.waitForUpload())
    else if (luck < 0.9) step('goes offline', (user) => user.run.client.disconnect())
    else if (luck < 0.96) step('goes online', (user) => user.run.client.reconnectNow())
    else step('asks for what nobody has', (user) => user.open(`nothing-${left}`))
  }
}

interface User {
  readonly run: Run
  open(id: string): Doc
  /** Asks again for all that is open and has failed. */
  retry(): void
  close(id: string): void
  write(id: string, count: number): void
  erase(id: string): void
  /** Of everything, if it is not said of what. */
  waitForUpload(id?: string): void
}

/** `next` makes a transaction that is like no other; `level` is what the upload of a document has to mean. */
function createUser(run: Run, chance: Chance, next: (session: string) => Uint8Array, level?: AckLevel): User {
  const docs = new Map<string, Doc>()
  const session = `${run.name}.${run.number}`

  function open(id: string): Doc {
    const present = docs.get(id)
    if (present !== undefined) {
      present.retry()
      return present
    }
    const doc = run.client.open(id)
    docs.set(id, doc)
    // Some take their time.
    const pauseMs = chance.happens(0.2) ? 500 : 0
    doc.subscribe(() => (pauseMs > 0 ? run.process.clock.wait(pauseMs) : undefined))
    return doc
  }

  async function write(id: string, many: number): Promise<void> {
    const doc = open(id)
    const transactions = Array.from({ length: many }, () => next(session))
    const state = await doc.settled()
    if (state === 'present') return doc.append(session, transactions)
    if (state === 'absent') return doc.create({ header: headerOf(id), session, transactions })
  }

  return {
    run,
    open,
    retry() {
      for (const doc of docs.values()) doc.retry()
    },
    close(id) {
      void docs.get(id)?.close()
      docs.delete(id)
    },
    write: (id, many) => quietly(write(id, many)),
    async erase(id) {
      const doc = open(id)
      quietly(doc.settled().then(() => doc.append(`${ERASER}${session}`, [utf8.encode('"erased"')])))
    },
    waitForUpload: (id) =>
      quietly(run.client.whenUploaded(id, id === undefined || level === undefined ? {} : { level })),
  }
}

export function headerOf(id: string): Uint8Array {
  return utf8.encode(JSON.stringify({ id, needs: DOCUMENTS[id] ?? [] }))
}

/** What is refused is an outcome like any other; the checkers were told. */
function quietly(work: Promise<unknown>): void {
  work.catch(() => {})
}
