/**
 * The client's interface against a trivial model: whatever an application does, it finds what two lists say.
 *
 * One client, one server, nothing goes wrong but that the client goes offline and starts again, with its disk or without. The model is what is
 * here, what is there, and one rule: online, all that is here goes there, and what is there of an open document comes here.
 */
import type { Doc } from '@tidemark/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ClientNode, calm, createWorld, type Disk, type Run, type World } from '../src/index.ts'

const RUNS = 150
const COMMANDS_MAX = 25
/** Longer than anything takes in a calm world. */
const SETTLES_MS = 5_000
const IDS = ['note', 'list']

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Document → session → how many transactions. A document without sessions is one, too. */
type Contents = Map<string, Map<string, number>>

class Model {
  here: Contents = new Map()
  readonly there: Contents = new Map()
  readonly open = new Set<string>()
  /** Of what is open, what the server has answered for. */
  readonly answered = new Set<string>()
  online = true
  process = 1

  get session(): string {
    return `anna.${this.process}`
  }

  settle(): void {
    if (!this.online) return
    for (const id of this.here.keys()) flow(this.here, this.there, id)
    for (const id of this.open) {
      flow(this.there, this.here, id)
      this.answered.add(id)
    }
  }
}

function flow(from: Contents, to: Contents, id: string): void {
  const contents = from.get(id)
  if (contents === undefined) return
  const sessions = to.get(id) ?? new Map<string, number>()
  to.set(id, sessions)
  for (const [session, count] of contents) sessions.set(session, Math.max(count, sessions.get(session) ?? 0))
}

/** The real one. */
class Real {
  readonly handles = new Map<string, { readonly doc: Doc; readonly given: string[] }>()
  readonly world: World
  readonly anna: ClientNode
  readonly run: () => Run

  constructor(world: World, anna: ClientNode, run: () => Run) {
    this.world = world
    this.anna = anna
    this.run = run
  }

  hold(id: string, doc: Doc): void {
    const given: string[] = []
    doc.subscribe(({ runs }) => {
      for (const { transactions } of runs) given.push(...transactions.map((transaction) => text.decode(transaction)))
    })
    this.handles.set(id, { doc, given })
  }

  /** Lets time pass; what was asked for has to be settled then. */
  async settled<T>(asked: Promise<T>): Promise<T> {
    const unsettled = Symbol()
    asked.catch(() => {})
    await this.world.pass(SETTLES_MS)
    const outcome = await Promise.race([asked, Promise.resolve(unsettled)])
    if (outcome === unsettled) throw new Error('it does not come to an end')
    return outcome as T
  }
}

/** After every command: disks, and what the application was given, are what the model says. */
async function agree(model: Model, { world, handles, anna }: Real): Promise<void> {
  await world.pass(SETTLES_MS)
  model.settle()
  expect(contentsOf(anna.disk)).toEqual(model.here)
  expect(contentsOf((world.servers[0] as { disk: Disk }).disk)).toEqual(model.there)
  for (const [id, { doc, given }] of handles) {
    const held = model.here.get(id)
    // Of what the server was never asked for nobody says that it is absent.
    expect(doc.state).toBe(held !== undefined ? 'present' : model.answered.has(id) ? 'absent' : 'failed')
    expect([...given].sort()).toEqual(
      [...(held ?? [])].flatMap(([session, count]) => textsOf(id, session, 0, count)).sort(),
    )
  }
}

function contentsOf(disk: Disk): Contents {
  return new Map(disk.ids().map((id) => [id, new Map(disk.known(id)?.sessions)]))
}

function textsOf(id: string, session: string, after: number, until: number): string[] {
  return Array.from({ length: until - after }, (_, index) => `${id} ${session} ${after + index}`)
}

type Command = fc.AsyncCommand<Model, Real>

function command(
  words: string,
  check: (model: Model) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command {
  return {
    check,
    async run(model, real) {
      await run(model, real)
      await agree(model, real)
    },
    toString: () => words,
  }
}

const open = (id: string) =>
  command(
    `open ${id}`,
    (model) => !model.open.has(id),
    async (model, real) => {
      real.hold(id, real.run().client.open(id))
      model.open.add(id)
    },
  )

const create = (id: string) =>
  command(
    `create ${id}`,
    (model) => !model.open.has(id) && !model.here.has(id) && !model.there.has(id),
    async (model, real) => {
      real.hold(id, await real.settled(real.run().client.create(id, { header: utf8.encode(id) })))
      model.open.add(id)
      model.here.set(id, new Map())
    },
  )

const append = (id: string, count: number) =>
  command(
    `append ${count} to ${id}`,
    (model) => model.open.has(id) && model.here.has(id),
    async (model, real) => {
      const sessions = model.here.get(id) as Map<string, number>
      const had = sessions.get(model.session) ?? 0
      const texts = textsOf(id, model.session, had, had + count)
      const { doc, given } = real.handles.get(id) as { doc: Doc; given: string[] }
      await real.settled(
        doc.append(
          model.session,
          texts.map((each) => utf8.encode(each)),
        ),
      )
      // Its own transactions do not come back.
      given.push(...texts)
      sessions.set(model.session, had + count)
    },
  )

const close = (id: string) =>
  command(
    `close ${id}`,
    (model) => model.open.has(id),
    async (model, real) => {
      await real.settled(real.handles.get(id)?.doc.close() ?? Promise.resolve())
      real.handles.delete(id)
      model.open.delete(id)
      model.answered.delete(id)
    },
  )

const disconnect = () =>
  command(
    'disconnect',
    (model) => model.online,
    async (model, real) => {
      real.run().client.disconnect()
      model.online = false
    },
  )

const reconnect = () =>
  command(
    'reconnect',
    (model) => !model.online,
    async (model, real) => {
      real.run().client.reconnectNow()
      model.online = true
    },
  )

const restart = (fate: 'kept' | 'wiped') =>
  command(
    `restart, disk ${fate}`,
    () => true,
    async (model, real) => {
      real.handles.clear()
      real.anna.crash(fate)
      await real.settled(real.anna.start())
      model.open.clear()
      model.answered.clear()
      model.online = true
      model.process += 1
      if (fate === 'wiped') model.here = new Map()
    },
  )

const whenUploaded = (id: string) =>
  command(
    `whenUploaded ${id}`,
    (model) => model.here.has(id),
    async (model, real) => {
      let isUploaded = false
      const waiting = new AbortController()
      const asked = real
        .run()
        .client.whenUploaded(id, { signal: waiting.signal })
        .then(() => {
          isUploaded = true
        })
      asked.catch(() => {})
      await real.world.pass(SETTLES_MS)
      waiting.abort()
      const there = model.there.get(id)
      const isThere = [...(model.here.get(id) ?? [])].every(([session, count]) => there?.get(session) === count)
      if (model.online) expect(isUploaded).toBe(true)
      else if (there === undefined || !isThere) expect(isUploaded).toBe(false)
    },
  )

test('whatever an application does, it finds what was written, and so does the server', {
  timeout: 120_000,
}, async () => {
  const { TIDEMARK_SEED } = process.env
  const seed = TIDEMARK_SEED === undefined ? 7 : Number(TIDEMARK_SEED)
  console.log(`seed ${seed}, ${RUNS} runs`)
  const id = fc.constantFrom(...IDS)
  const commands = fc.commands(
    [
      id.map(open),
      id.map(create),
      fc.tuple(id, fc.integer({ min: 1, max: 3 })).map(([one, count]) => append(one, count)),
      id.map(close),
      fc.constant(disconnect()),
      fc.constant(reconnect()),
      fc.constantFrom('kept' as const, 'wiped' as const).map(restart),
      id.map(whenUploaded),
    ],
    { maxCommands: COMMANDS_MAX, size: '+1' },
  )
  let played = 0
  const property = fc.asyncProperty(fc.nat(), commands, async (worldSeed, some) => {
    await fc.asyncModelRun(async () => {
      const world = createWorld(worldSeed, calm)
      const server = await world.server('server')
      let run: Run | undefined
      const anna = await world.client('anna', {
        server,
        application(started) {
          run = started
        },
      })
      await world.pass(SETTLES_MS)
      return { model: new Model(), real: new Real(world, anna, () => run as Run) }
    }, some)
    played += 1
  })
  await fc.assert(property, { seed, numRuns: RUNS })
  expect(played).toBe(RUNS)
})
