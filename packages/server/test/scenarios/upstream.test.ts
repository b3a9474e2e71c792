/**
 * Scenarios 35 and 35b over real sockets: clients, an edge and a core, each server with a store of its own on disk.
 *
 * E is the edge, K the core, C and W are Jazz clients. What stands between edge and core is traced on the edge's channel.
 * Not here: the same in manual time (`packages/sync/test/upstream.test.ts`).
 */
import { join } from 'node:path'
import { type Codec, type Frame, type Message, ProtocolError } from '@tidemark/protocol'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import type { Channel, Connect } from '@tidemark/sync/run'
import { nodeWebSocket } from '@tidemark/websocket/node'
import { afterEach, expect, test, vi } from 'vitest'
import { createServer, type Server, type ServerOptions } from '../../src/index.ts'
import { listen } from '../../src/node.ts'
import { pause, until, withFolder, wrapped } from '../help.ts'
import { content, doc, jazzClient, known, load, received, session } from '../jazz.ts'

vi.setConfig({ testTimeout: 60_000 })

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

interface Running {
  readonly server: Server
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

async function start(
  file: string,
  options: Partial<ServerOptions> = {},
  port = 0,
  around?: Parameters<typeof wrapped>[1],
): Promise<Running> {
  const store = sqliteStorage({ path: file })
  const server = await createServer({ storage: around === undefined ? store : wrapped(store, around), ...options })
  const listening = await listen(server, { port, closeGraceMs: 200 })
  leftovers.push(() => listening.close().catch(() => {}))
  return { server, url: listening.url, port: listening.port, stop: () => listening.close() }
}

/** An edge of the server at `url`; what they say goes to `trace`. */
function edgeOf(url: string, trace: string[] = [], headers: Record<string, string> = {}): Partial<ServerOptions> {
  const connect: Connect = async (signal) => traced(await nodeWebSocket(url, { headers })(signal), trace)
  return { upstream: { connect, limits: { reconnectMs: 20, reconnectMsMax: 50 } } }
}

function traced(channel: Channel, trace: string[]): Channel {
  const codec = { out: channel.dialect.createCodec(), in: channel.dialect.createCodec() }
  const note = (way: string, frame: string | Uint8Array, which: 'in' | 'out') => {
    for (const message of messagesIn(codec[which], frame)) trace.push(...inWords(way, message))
  }
  return {
    ...channel,
    send(frame) {
      note('E>K', frame, 'out')
      channel.send(frame)
    },
    open(receiver) {
      channel.open({
        ...receiver,
        frame(frame) {
          note('K>E', frame, 'in')
          receiver.frame(frame)
        },
      })
    },
  }
}

function messagesIn(codec: Codec, frame: Frame): Message[] {
  return [...codec.decode(frame)].map((one) => {
    if (one instanceof ProtocolError) throw one
    return one.message
  })
}

function inWords(way: string, message: Message): string[] {
  if (message.action === 'hello' || !('id' in message)) return []
  const name = `${way} ${message.action.toUpperCase()} ${message.id?.replace('co_z', '')}`
  if (message.action === 'content')
    return [`${name} ${message.runs.map(({ after, transactions }) => `a:${after}+${transactions.length}`).join(' ')}`]
  if (message.action !== 'load' && message.action !== 'known') return [name]
  const count = message.known.sessions.get(session('a')) ?? message.known.sessions.get(session('b'))
  return [`${name}=${message.known.header ? (count ?? 'header') : '∅'}`]
}

const isOnline = (edge: Running) => until('the edge is online', () => edge.server.health().upstream?.state === 'online')
const isUploaded = (edge: Running) => until('nothing is owed', () => edge.server.health().upstream?.owed === 0)

/** Writes `note` with `count` transactions at a server. */
async function write(url: string, count: number, name = 'note'): Promise<void> {
  const writer = await jazzClient(url)
  writer.say(content(name, 'a', 0, count))
  await writer.hears(1)
  await writer.close()
}

test('35: an edge answers at once what it holds, subscribes upstream, and passes on what the core gets later', () =>
  withFolder(async (folder) => {
    const core = await start(join(folder, 'core.db'))
    const trace: string[] = []
    const edge = await start(join(folder, 'edge.db'), edgeOf(core.url, trace))
    await isOnline(edge)
    await write(edge.url, 3)
    await isUploaded(edge)
    await until('nobody wants it upstream any more', () => trace.includes('E>K DONE note'))
    trace.length = 0

    const heard: string[] = []
    const client = await jazzClient(edge.url, 'C', heard)
    client.say(load('note', { a: 3 }))
    await client.hears(1)
    expect(heard).toEqual(['C>S LOAD note=a:3', 'S>C KNOWN note=a:3'])
    await until('the core answered', () => trace.length >= 2)
    expect(trace).toEqual(['E>K LOAD note=3', 'K>E KNOWN note=3'])

    const writer = await jazzClient(core.url)
    writer.say(content('note', 'a', 3, 5, false))
    await client.hears(2)
    expect(heard.at(-1)).toBe('S>C CONTENT note a:3+2')
    await until('the edge acknowledged', () => trace.length >= 4)
    expect(trace.slice(2)).toEqual(['K>E CONTENT note a:3+2', 'E>K KNOWN note=5'])
    await Promise.all([client.close(), writer.close()])
  }))

test('35b: an edge that lacks a document asks its core first, and says absent only after the core said so', () =>
  withFolder(async (folder) => {
    let answer = () => {}
    const gate = new Promise<void>((resolve) => {
      answer = resolve
    })
    const core = await start(join(folder, 'core.db'), {}, 0, (method, call) =>
      method === 'knownStates' ? gate.then(call) : call(),
    )
    const trace: string[] = []
    const edge = await start(join(folder, 'edge.db'), edgeOf(core.url, trace))
    await isOnline(edge)
    const client = await jazzClient(edge.url)
    client.say(load('nowhere'))
    await until('the core is asked', () => trace.includes('E>K LOAD nowhere=∅'))
    await pause(100)
    expect(client.heard).toEqual([])
    answer()
    await client.hears(1)
    expect(client.heard).toMatchObject([{ action: 'known', id: doc('nowhere'), header: false }])
    expect(trace).toEqual(['E>K LOAD nowhere=∅', 'K>E KNOWN nowhere=∅'])
    await client.close()
  }))

test('35b: what only the core has comes through the edge, which keeps it', () =>
  withFolder(async (folder) => {
    const core = await start(join(folder, 'core.db'))
    await write(core.url, 3)
    const edge = await start(join(folder, 'edge.db'), edgeOf(core.url))
    await isOnline(edge)
    const heard: string[] = []
    const client = await jazzClient(edge.url, 'C', heard)
    client.say(load('note'))
    await client.hears(1)
    client.say(known('note', { a: 3 }))
    expect(heard.slice(0, 2)).toEqual(['C>S LOAD note=∅', 'S>C CONTENT note header a:0+3'])
    await client.close()
    await core.stop()

    const offline = await jazzClient(edge.url)
    offline.say(load('note'))
    await offline.hears(1)
    expect(received(offline, 'note').get(session('a'))).toHaveLength(3)
    await offline.close()
  }))

test('35b: a core that cannot be reached makes it unavailable, never absent; what the core has comes when it is back', () =>
  withFolder(async (folder) => {
    const core = await start(join(folder, 'core.db'))
    await write(core.url, 3)
    await core.stop()
    const limits = { upstreamTimeoutMs: 300 }
    const edge = await start(join(folder, 'edge.db'), { ...edgeOf(core.url), limits })
    const jazz = await jazzClient(edge.url)
    const own: Message[] = []
    const channel = await nodeWebSocket(edge.url)(new AbortController().signal)
    const codec = channel.dialect.createCodec()
    channel.open({
      frame: (frame) => void own.push(...messagesIn(codec, frame)),
      drained() {},
      closed() {},
    })
    const asking: Message = { action: 'load', id: doc('note'), known: { header: false, sessions: new Map() } }
    const begin = performance.now()
    jazz.say(load('note'))
    for (const frame of channel.dialect.createCodec().encode([asking], 1_000)) channel.send(frame)
    await jazz.hears(1)
    await until('the edge answered', () => own.length >= 2)
    expect(performance.now() - begin).toBeGreaterThan(290)
    // A Jazz client has no word for it, and asks for more when something comes.
    expect(jazz.heard).toMatchObject([{ action: 'known', header: false }])
    expect(own.slice(1)).toMatchObject([{ action: 'error', id: doc('note'), code: 'unavailable' }])

    await start(join(folder, 'core.db'), {}, core.port)
    await until('both have it', () => received(jazz, 'note').size === 1 && own.at(-1)?.action === 'content')
    channel.close(1000, 'done')
    await jazz.close()
  }))

test('what clients wrote while the core was away is uploaded, after a restart of the edge, although nobody asks', () =>
  withFolder(async (folder) => {
    const core = await start(join(folder, 'core.db'))
    await write(core.url, 1, 'other')
    await core.stop()
    const first = await start(join(folder, 'edge.db'), edgeOf(core.url))
    await write(first.url, 3)
    expect(first.server.health().upstream).toEqual({ state: expect.any(String), owed: 1 })
    await first.stop()

    const trace: string[] = []
    const second = await start(join(folder, 'edge.db'), edgeOf(core.url, trace))
    expect(second.server.health().upstream?.owed).toBe(1)
    const back = await start(join(folder, 'core.db'), {}, core.port)
    await isUploaded(second)
    expect(trace).toEqual([
      'E>K LOAD note=3',
      'K>E LOAD note=∅',
      'K>E KNOWN note=∅',
      'E>K CONTENT note a:0+3',
      'K>E KNOWN note=3',
      'E>K DONE note',
    ])
    const reader = await jazzClient(back.url)
    reader.say(load('note'))
    await reader.hears(1)
    expect(received(reader, 'note').get(session('a'))).toHaveLength(3)
    await reader.close()
  }))

test('12, 13: a core that lost what it had is given it back by its edge, although nobody asks', () =>
  withFolder(async (folder) => {
    const core = await start(join(folder, 'core.db'))
    const edge = await start(join(folder, 'edge.db'), edgeOf(core.url))
    await isOnline(edge)
    for (const name of ['one', 'two']) await write(edge.url, 2, name)
    await isUploaded(edge)
    await core.stop()
    const empty = await start(join(folder, 'empty.db'), {}, core.port)
    const reader = await jazzClient(empty.url)
    for (const name of ['one', 'two']) reader.say(load(name))
    await until('both are back', () => received(reader, 'one').size + received(reader, 'two').size === 2)
    await reader.close()
  }))

test('the edge has credentials of its own: its core sees them, and never those of its clients', () =>
  withFolder(async (folder) => {
    const asked: string[] = []
    const core = await start(join(folder, 'core.db'), {
      hooks: {
        authenticate: ({ headers }) => headers.authorization,
        authorize(principal, action, id) {
          asked.push(`${principal} ${action} ${id.replace('co_z', '')}`)
          return id !== doc('secret')
        },
      },
    })
    const hooks: ServerOptions['hooks'] = { authorize: (_, action, id) => action === 'write' || id !== doc('closed') }
    const edge = await start(join(folder, 'edge.db'), { ...edgeOf(core.url, [], { authorization: 'edge' }), hooks })
    await isOnline(edge)
    const client = await jazzClient(edge.url)
    client.say(load('note'), load('closed'))
    await client.hears(2)
    // What the edge may not give is not asked for; what it asks for it asks for itself.
    expect(new Set(asked)).toEqual(new Set(['edge read note']))
    client.say(load('secret'))
    await until('the core was asked', () => asked.includes('edge read secret'))
    await client.close()
  }))

test('an edge that is closed leaves nothing open, also while its core cannot be reached', () =>
  withFolder(async (folder) => {
    const edge = await start(join(folder, 'edge.db'), edgeOf('ws://127.0.0.1:9'))
    await write(edge.url, 1)
    await edge.stop()
    const again = sqliteStorage({ path: join(folder, 'edge.db') })
    expect(await again.open()).toMatchObject({ writable: true })
    await again.close()
  }))
