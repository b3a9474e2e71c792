/**
 * Scenarios 25, 27, 28, 30, 31, 32, 33 and 34 over real sockets, in every dialect that is spoken.
 */
import { type Dialect, dialects, type Message } from '@tidemark/protocol'
import { memoryStorage, StorageError } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import { metric, pause, settled, until, type World, withServer, wrapped } from '../help.ts'
import { type AnyClient, anyClient } from '../hostile/clients.ts'
import { AWKWARD_NAMES } from '../hostile/inputs.ts'

vi.setConfig({ testTimeout: 60_000 })

const utf8 = new TextEncoder()
const json = (value: unknown) => utf8.encode(JSON.stringify(value))
const NOTHING = { header: false, sessions: new Map<string, number>() }

const load = (id: string): Message => ({ action: 'load', id, known: NOTHING })

function content(
  id: string,
  session: string,
  after: number,
  transactions: readonly unknown[],
  header?: unknown,
): Message {
  return {
    action: 'content',
    id,
    kind: 'json',
    priority: 3,
    ...(header !== undefined && { header: json(header) }),
    runs: [
      {
        session,
        after,
        transactions: transactions.map(json),
        seal: utf8.encode(`signature_z${after + transactions.length}`),
      },
    ],
  }
}

/** `KNOWN note a:1`, `CONTENT note a:0+1`, `ERROR note failed`. */
function inWords(message: Message): string {
  const id = 'id' in message ? message.id : ''
  if (message.action === 'known' || message.action === 'load') {
    const counts = [...message.known.sessions].map(([session, count]) => `${session}:${count}`)
    return [message.action.toUpperCase(), id, message.known.header ? counts.join(',') || '0' : '∅'].join(' ')
  }
  if (message.action === 'content') {
    const runs = message.runs.map(({ session, after, transactions }) => `${session}:${after}+${transactions.length}`)
    return ['CONTENT', id, ...runs].join(' ')
  }
  return [message.action.toUpperCase(), id, message.action === 'error' ? message.code : ''].join(' ').trim()
}

const words = (client: AnyClient) => client.heard.map(inWords)

async function hears(client: AnyClient, text: string): Promise<void> {
  await until(`${text} among ${words(client).join(' | ').slice(0, 500)}`, () => words(client).includes(text))
}

for (const dialect of dialects) describe(dialect.name, () => inDialect(dialect))

function inDialect(dialect: Dialect): void {
  const join = (world: World, name = 'client') => anyClient(world.url, dialect, name)

  test('25: a look-up that fails is tried again and then said to have failed, never "not found"', () => {
    const storage = wrapped(memoryStorage(), (method, call) => {
      if (method === 'knownStates') throw new StorageError('IO', 'the disk does not answer')
      return call()
    })
    const limits = { lookTriesMs: 300, lookTriesSilentMs: 300, lookBackoffMs: 50 }
    return withServer({ storage, limits }, async (world) => {
      const client = await join(world)
      client.say(load('note'))
      await until('several tries', () => metric(world.server.metrics() ?? '', 'tidemark_storage_lookups_total') > 2)
      if (dialect.traits.errors) await hears(client, 'ERROR note failed')
      else await until('it was given up', () => metric(world.server.metrics() ?? '', 'tidemark_requests_parked') === 0)
      expect(words(client)).toEqual(dialect.traits.errors ? ['ERROR note failed'] : [])
      client.close()
    })
  })

  test('27: 20,000 LOADs for ids that do not exist leave nothing when the connection is closed', () =>
    withServer({}, async (world) => {
      const client = await join(world)
      for (let index = 0; index < 20; index++)
        client.say(...Array.from({ length: 1_000 }, (_, more) => load(`nobody${index * 1_000 + more}`)))
      await until('all answers', () => client.heard.length === 20_000)
      expect(world.server.health()).toMatchObject({ documents: 20_000, subscriptions: 20_000 })
      client.close()
      await until('the end', () => world.server.health().connections === 0)
      expect(world.server.health()).toMatchObject({ documents: 0, subscriptions: 0, queued: 0 })
      expect(metric(world.server.metrics() ?? '', 'tidemark_documents_held')).toBe(0)
    }))

  test('28: a subscriber that does not read costs its window, holds up nobody, and catches up', () => {
    const HIGH_WATER_BYTES = 64 * 1024
    return withServer({ listen: { highWaterBytes: HIGH_WATER_BYTES } }, async (world) => {
      const channels: Channel[] = []
      const { accept } = world.server
      vi.spyOn(world.server, 'accept').mockImplementation((channel, who) => {
        channels.push(channel)
        accept(channel, who)
      })
      const [slow, writer, reader] = [await join(world, 'slow'), await join(world, 'w'), await join(world, 'r')]
      // Before somebody says what it takes it is sent nothing as large.
      if (dialect.traits.hello) for (const client of [slow, reader]) client.say(HELLO)
      writer.say(content('note', 'a', 0, ['begin'], {}))
      await until('created', () => writer.heard.length === 1)
      for (const client of [slow, reader]) client.say(load('note'))
      await until('subscribed', () => slow.heard.length > 0 && reader.heard.length > 0)
      slow.channel.pause()
      const PAYLOAD = 'x'.repeat(100_000)
      for (let count = 1; count <= 120; count++) {
        writer.say(content('note', 'a', count, [PAYLOAD]))
        await until('it reached the others', () => held(reader) === count + 1)
        // A page ends at a seal: one transaction may exceed what there was room for.
        expect(channels[0]?.unsent()).toBeLessThan(HIGH_WATER_BYTES + 2 * PAYLOAD.length)
      }
      // What the operating system takes does not count: of what was written much is not sent yet.
      expect(metric(world.server.metrics() ?? '', 'tidemark_sent_bytes_total')).toBeLessThan(2 * 120 * PAYLOAD.length)
      slow.channel.resume()
      await until('it caught up', () => held(slow) === 121)
      for (const client of [slow, writer, reader]) client.close()
    })
  })

  test('30: with 300 idle connections a transaction is as many messages as with none', () =>
    withServer({}, async (world) => {
      const sent = () => {
        const text = world.server.metrics() ?? ''
        return ['content', 'known'].reduce(
          (sum, action) => sum + metric(text, `tidemark_messages_sent_total{action="${action}"}`),
          0,
        )
      }
      const [writer, reader] = [await join(world, 'w'), await join(world, 'r')]
      writer.say(content('note', 'a', 0, [0], {}))
      await until('created', () => writer.heard.length === 1)
      reader.say(load('note'))
      await until('subscribed', () => reader.heard.length === 1)
      const cost = async (count: number) => {
        const before = sent()
        writer.say(content('note', 'a', count, [count]))
        await until('it came', () => held(reader) === count + 1)
        await settled()
        return sent() - before
      }
      const alone = await cost(1)
      const idle: AnyClient[] = []
      while (idle.length < 300) idle.push(...(await Promise.all(Array.from({ length: 50 }, () => join(world, 'idle')))))
      expect(await cost(2)).toBe(alone)
      expect(idle.flatMap(words)).toEqual([])
      for (const client of [writer, reader, ...idle]) client.close()
    }))

  if (dialect.traits.done)
    test('31: who said DONE hears nothing more of that document, and of others as before', () =>
      withServer({}, async (world) => {
        const [writer, reader] = [await join(world, 'w'), await join(world, 'r')]
        for (const id of ['note', 'list']) {
          writer.say(content(id, 'a', 0, [1], {}))
          await hears(writer, `KNOWN ${id} a:1`)
          reader.say(load(id))
          await hears(reader, `CONTENT ${id} a:0+1`)
          reader.say({ action: 'known', id, known: { header: true, sessions: new Map([['a', 1]]) }, correction: false })
        }
        reader.say({ action: 'done', id: 'note' })
        await until('it is forgotten', () => world.server.health().subscriptions === 3)
        writer.say(content('note', 'a', 1, [2]))
        await hears(writer, 'KNOWN note a:2')
        writer.say(content('list', 'a', 1, [2]))
        await hears(reader, 'CONTENT list a:1+1')
        expect(words(reader)).not.toContain('CONTENT note a:1+1')
        for (const client of [writer, reader]) client.close()
      }))

  test('32: who may not read or write is refused, keeps the connection, and nothing is stored', () => {
    const hooks = {
      authenticate: ({ headers }: { headers: Readonly<Record<string, unknown>> }) => ({
        name: headers['x-forwarded-for'],
      }),
      // It may take its time.
      authorize: async (user: unknown, action: string, id: string) => {
        await pause(5)
        return (user as { name: string }).name === 'owner' || (id === 'public' && action === 'read')
      },
    }
    return withServer({ hooks }, async (world) => {
      const [owner, guest] = [await join(world, 'owner'), await join(world, 'guest')]
      owner.say(content('public', 'a', 0, [1], {}), content('secret', 'a', 0, [1], {}))
      await until('both are stored', () => owner.heard.length === 2)
      guest.say(load('secret'), content('secret', 'b', 0, [2]), content('new', 'b', 0, [2], {}), load('public'))
      await hears(guest, 'CONTENT public a:0+1')
      guest.say(content('public', 'b', 0, [2]))
      const refused = dialect.traits.errors ? 'ERROR public forbidden' : 'KNOWN public a:1'
      await hears(guest, refused)
      if (dialect.traits.errors) expect(words(guest)).toContain('ERROR secret forbidden')
      else expect(words(guest)).toContain('KNOWN secret ∅')
      expect(words(guest).filter((text) => text.includes('CONTENT secret') || text.includes('secret a'))).toEqual([])
      const late = await join(world, 'owner')
      late.say(load('secret'), load('public'), load('new'))
      await until('what is stored', () => late.heard.length === 3)
      expect(words(late).sort()).toEqual(['CONTENT public a:0+1', 'CONTENT secret a:0+1', 'KNOWN new ∅'])
      expect(guest.ended).toBeUndefined()
      for (const client of [owner, guest, late]) client.close()
    })
  })

  test('33: what is malformed or too large costs an error for itself, and, repeated, the connection; others notice nothing', () =>
    withServer({ limits: { malformedMax: 5, frameBytesMax: 4 * 1024 * 1024 } }, async (world) => {
      const [honest, bad, large] = [await join(world, 'h'), await join(world, 'b'), await join(world, 'l')]
      const bads: readonly unknown[] = dialect.text
        ? [
            'nonsense',
            '[]',
            '{"action":"load","type":"load","id":7}',
            `{"type":"load","action":"load","id":"${'x'.repeat(1_000_000)}"}`,
          ]
        : [new Uint8Array([1, 255, 255, 255, 255, 255]), new Uint8Array(300).fill(255)]
      bad.send(bads[0] as string)
      if (dialect.text) {
        bad.say(load('note'))
        await hears(bad, 'KNOWN note ∅')
        if (dialect.traits.errors) expect(words(bad)).toContain('ERROR  malformed')
        for (let round = 0; round < 4; round++) for (const one of bads) bad.send(one as string)
      }
      await until('the bad one is closed', () => bad.ended !== undefined)
      // A binary dialect cannot go on after what it did not understand.
      expect(bad.ended?.code).toBe(dialect.text ? 1008 : 1002)
      large.send(dialect.text ? 'x'.repeat(5_000_000) : new Uint8Array(5_000_000))
      await until('the large one is closed', () => large.ended !== undefined)
      expect(large.ended?.code).toBe(1009)
      honest.say(content('note', 'a', 0, [1], {}))
      await hears(honest, 'KNOWN note a:1')
      expect(honest.ended).toBeUndefined()
      honest.close()
      await until('all are gone', () => world.server.health().connections === 0)
      expect(metric(world.server.metrics() ?? '', 'tidemark_pending_bytes')).toBe(0)
    }))

  test('34: content whose dependency is missing is stored at once; the dependency is asked for, and it is forwarded when that came', () => {
    const hooks = {
      dependenciesOf: (header: Uint8Array | undefined) =>
        header === undefined
          ? []
          : ((JSON.parse(new TextDecoder().decode(header)) as { needs?: string[] }).needs ?? []),
    }
    return withServer({ hooks }, async (world) => {
      const [writer, reader] = [await join(world, 'w'), await join(world, 'r')]
      reader.say(load('list'))
      await hears(reader, 'KNOWN list ∅')
      reader.heard.length = 0
      writer.say(content('list', 'a', 0, [1], { needs: ['group'] }))
      await hears(writer, 'KNOWN list a:1')
      await hears(writer, 'LOAD group ∅')
      await settled()
      expect(words(reader)).toEqual([])
      writer.say(content('group', 'a', 0, [1], {}))
      await hears(reader, 'CONTENT list a:0+1')
      expect(words(reader)).toEqual(['CONTENT group a:0+1', 'CONTENT list a:0+1'])
      for (const client of [writer, reader]) client.close()
    })
  })

  test('names that mean something to JavaScript are names of documents and sessions like others', () =>
    withServer({}, async (world) => {
      const [writer, reader] = [await join(world, 'w'), await join(world, 'r')]
      for (const [index, name] of AWKWARD_NAMES.entries()) {
        const session = AWKWARD_NAMES.at(-1 - index) as string
        writer.say(content(name, session, 0, [{ [name]: 1 }], { [session]: 1 }))
        await hears(writer, `KNOWN ${name} ${session}:1`)
        reader.say(load(name))
        await hears(reader, `CONTENT ${name} ${session}:0+1`)
        const page = reader.heard.findLast((message) => message.action === 'content')
        expect(new TextDecoder().decode(page?.runs[0]?.transactions[0])).toBe(JSON.stringify({ [name]: 1 }))
      }
      expect(world.server.health().documents).toBe(AWKWARD_NAMES.length)
      expect(Object.getOwnPropertyNames(Object.prototype).includes('polluted')).toBe(false)
      for (const client of [writer, reader]) client.close()
    }))

  if (dialect.text)
    test('`__proto__` and `constructor` as a key at any place of a message change nothing but that message', () =>
      withServer({}, async (world) => {
        const honest = await join(world, 'h')
        const before = Object.getOwnPropertyNames(Object.prototype).sort()
        for (const [index, text] of polluted(dialect).entries()) {
          const bad = await join(world, `b${index}`)
          bad.send(text)
          bad.say(load('note'))
          await hears(bad, 'KNOWN note ∅')
          bad.close()
        }
        expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(before)
        expect(({} as Record<string, unknown>).header).toBeUndefined()
        honest.say(content('other', 'a', 0, [1], {}))
        await hears(honest, 'KNOWN other a:1')
        honest.close()
      }))
}

const HELLO: Message = {
  action: 'hello',
  version: 1,
  features: [],
  generation: { id: 'g', sequence: 0 },
  level: 'durable',
  limits: { messageBytesMax: 8 * 1024 * 1024, frameBytesMax: 64 * 1024 * 1024 },
  peer: 'p',
}

/** Transactions that a client was sent of its one document. */
function held(client: AnyClient): number {
  let count = 0
  for (const message of client.heard)
    if (message.action === 'content')
      for (const { after, transactions } of message.runs) count = Math.max(count, after + transactions.length)
  return count
}

/** Every message with such a key put into each of its objects, one at a time. */
function polluted(dialect: Dialect): string[] {
  const codec = dialect.createCodec()
  const known = { header: true, sessions: new Map([['a', 1]]) }
  const messages: Message[] = [
    { action: 'load', id: 'd', known },
    { action: 'known', id: 'd', known, correction: false },
    content('d', 'a', 0, [{ a: 1 }], { b: { c: 1 } }),
    { action: 'reconcile', batch: 'b', values: [['d', 'h']] },
  ]
  const texts = messages.map((message) => {
    const [frame = ''] = codec.encode([message], 64 * 1024)
    return typeof frame === 'string' ? frame : new TextDecoder().decode(frame)
  })
  const keys = ['"__proto__":{"header":true,"polluted":1},', '"constructor":{"prototype":{"polluted":1}},']
  return texts.flatMap((text) =>
    [...text.matchAll(/\{/g)].flatMap(({ index }) =>
      keys.map(
        (key) => text.slice(0, index + 1) + (text[index + 1] === '}' ? key.slice(0, -1) : key) + text.slice(index + 1),
      ),
    ),
  )
}
