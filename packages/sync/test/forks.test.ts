/**
 * Forks found by digests (L13), between two engines that speak our own dialects through their codecs: both ends hear of it, the
 * forked session rests on that connection, everything else is synced, and nobody overwrites anything.
 */
import type { KnownState } from '@tidemark/known-state'
import { type Dialect, dialects, type Message, ProtocolError, type Run } from '@tidemark/protocol'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { expect, describe as group, test } from 'vitest'
import type { Report } from '../src/events.ts'
import { type Attached, attach, type Channel, createPipe, type Runner, run } from '../src/run.ts'
import { append, bytes, describe, nextTurn, state } from './world.ts'

interface End {
  readonly storage: Storage
  readonly runner: Runner
  readonly reports: Report[]
}

interface Pair {
  readonly client: End
  readonly server: End
  readonly trace: string[]
  connect(): Attached
  settle(): Promise<void>
  end(): Promise<void>
}

async function createEnd(peer: string, ...holds: Append[]): Promise<End> {
  const storage = memoryStorage()
  await storage.open()
  await storage.append(holds)
  const runner = await run({ storage, peer })
  const reports: Report[] = []
  runner.listen((report) => reports.push(report))
  return { storage, runner, reports }
}

/** Hears what a channel sends, as the other end understands it. */
function traced(channel: Channel, from: string, trace: string[]): Channel {
  const codec = channel.dialect.createCodec()
  return {
    ...channel,
    send(frame) {
      for (const decoded of codec.decode(frame)) {
        if (decoded instanceof ProtocolError) throw decoded
        if (decoded.message.action !== 'hello') trace.push(`${from} ${describe(decoded.message)}`)
      }
      channel.send(frame)
    },
  }
}

async function pair(dialect: Dialect, client: readonly Append[], server: readonly Append[]): Promise<Pair> {
  const ends = { client: await createEnd('client', ...client), server: await createEnd('server', ...server) }
  const trace: string[] = []
  return {
    ...ends,
    trace,
    connect() {
      const [near, far] = createPipe(dialect)
      attach(ends.server.runner, traced(far, '<', trace))
      return attach(ends.client.runner, traced(near, '>', trace), { upstream: true })
    },
    async settle() {
      for (let quiet = 0, last = -1; quiet < 20; quiet++) {
        await nextTurn()
        if (trace.length !== last) quiet = 0
        last = trace.length
        if (trace.length > 1_000) throw new Error(`message storm: ${trace.slice(-8).join(' | ')}`)
      }
    },
    async end() {
      await Promise.all([ends.client.runner.close(), ends.server.runner.close()])
    },
  }
}

/** Content of bytes: `note`'s sessions as `append` writes them, `forked` ones with other bytes from `fork` on. */
function note(sessions: string, fork?: { readonly session: string; readonly from: number }): Append {
  const content = append('note', sessions, true, 'bytes')
  if (fork === undefined) return content
  const runs = content.runs.map((run) =>
    run.session === fork.session
      ? { ...run, transactions: run.transactions.map((one, at) => (at < fork.from ? one : bytes(`other ${at}`))) }
      : run,
  )
  return { ...content, runs }
}

async function held({ storage }: End): Promise<KnownState | undefined> {
  return (await storage.knownStates(['note']))[0]?.known
}

async function digestOf({ storage }: End, session: string): Promise<string | undefined> {
  return (await storage.knownStates(['note']))[0]?.digests.get(session)
}

const forksSeen = ({ reports }: End) =>
  reports.flatMap((report) => {
    if (report.kind === 'fork') return [`found ${report.id} ${report.sessions}`]
    return report.kind === 'error' && report.code === 'fork' ? [`told ${report.id}`] : []
  })

const own = dialects.filter(({ traits }) => traits.digests)

group.each(own.map((dialect) => [dialect.name, dialect] as const))('in the dialect %s', (_, dialect) => {
  test('equal counts with other bytes: both ends find the fork at once, other sessions go both ways', async () => {
    const { client, server, connect, settle, end, trace } = await pair(
      dialect,
      [note('a:0-3 mine:0-2', { session: 'a', from: 1 })],
      [note('a:0-3 theirs:0-2')],
    )
    const [clients, servers] = [await digestOf(client, 'a'), await digestOf(server, 'a')]
    expect(clients).not.toBe(servers)
    connect().ask(['note'])
    await settle()
    for (const one of [client, server]) {
      expect(forksSeen(one)).toContain('found note a')
      expect(await held(one)).toEqual(state('a:3 mine:2 theirs:2'))
    }
    expect([await digestOf(client, 'a'), await digestOf(server, 'a')]).toEqual([clients, servers])
    expect(trace.filter((line) => line.includes('CONTENT') && line.includes(' a:'))).toEqual([])
    await end()
  })

  test('many forked sessions are said in one error and one report, also those that are found in content', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `s${index}`)
    const runs = (text: string): Run[] => names.map((session) => ({ session, after: 0, transactions: [bytes(text)] }))
    const many = (text: string) => ({ ...note(''), runs: runs(text) })
    const { client, server, connect, settle, end, trace } = await pair(dialect, [many('one')], [many('two')])
    connect().ask(['note'])
    await settle()
    for (const one of [client, server])
      expect(one.reports.flatMap((report) => (report.kind === 'fork' ? [report.sessions.length] : []))).toEqual([300])
    expect(trace.filter((line) => line.includes('ERROR')).length).toBeLessThanOrEqual(2)
    const heard: string[] = []
    const [near, far] = createPipe(dialect)
    attach(server.runner, traced(far, '<', heard))
    near.open({ frame() {}, drained() {}, closed() {} })
    const others = runs('three').map((run) => ({ ...run, after: 1, digest: '0011223344556677' }))
    const content: Message = { action: 'content', id: 'note', kind: 'bytes', priority: 3, runs: others }
    for (const frame of dialect.createCodec().encode([content], 128 * 1024)) near.send(frame)
    for (let turns = 0; turns < 50; turns++) await nextTurn()
    // The last one acknowledges the content, of which nothing was taken.
    const words = heard.map((line) => line.split(' ').slice(0, 3).join(' '))
    expect(words).toEqual(['< ERROR note', '< KNOWN note', '< KNOWN note'])
    await end()
  })

  test('a longer fork of JSON, which has no digests, is found where it overlaps; other sessions go both ways', async () => {
    const runs = (...texts: string[]) =>
      texts.map((text, index) => ({
        session: 'a',
        after: index,
        transactions: [bytes(`"${text}"`)],
        seal: bytes(text),
      }))
    const appends = (other: string, ...texts: string[]) => [
      append('note', `${other}:0-2`),
      ...runs(...texts).map((run) => ({ ...append('note', '', false), runs: [run] })),
    ]
    const { client, server, connect, settle, end, trace } = await pair(
      dialect,
      appends('mine', 'one', 'TWO', 'THREE'),
      appends('theirs', 'one', 'two'),
    )
    connect().ask(['note'])
    await settle()
    expect(trace).toContain('> CONTENT note a:1-3 mine:0-2')
    expect(forksSeen(server)).toEqual(['found note a'])
    expect(forksSeen(client)).toContain('told note')
    expect(await held(server)).toEqual(state('a:2 mine:2 theirs:2'))
    expect(await held(client)).toEqual(state('a:3 mine:2 theirs:2'))
    await end()
  })

  test('a longer fork is found by the digest at its `after`: nothing of it is taken, and its writer is told', async () => {
    const { client, server, connect, settle, end } = await pair(
      dialect,
      [note('a:0-5 mine:0-1', { session: 'a', from: 1 })],
      [note('a:0-3')],
    )
    const before = await digestOf(server, 'a')
    connect().ask(['note'])
    await settle()
    expect(forksSeen(server)).toEqual(['found note a'])
    expect(forksSeen(client)).toContain('told note')
    expect(await held(server)).toEqual(state('a:3 mine:1'))
    expect(await digestOf(server, 'a')).toBe(before)
    await end()
  })

  test('a client that lost its tail and wrote on learns of it when the rest comes; a new session is synced', async () => {
    const { client, server, connect, settle, end } = await pair(
      dialect,
      // Two of four survived, and then it wrote another third.
      [note('a:0-3', { session: 'a', from: 2 })],
      [note('a:0-4')],
    )
    connect().ask(['note'])
    await settle()
    expect(forksSeen(client)).toContain('found note a')
    expect(forksSeen(server)).toContain('told note')
    expect([await held(client), await held(server)]).toEqual([state('a:3'), state('a:4')])

    const writer = client.runner.connect({
      traits: { ...dialect.traits, hello: false, upstream: false, local: true },
      send() {},
      room: () => true,
      close() {},
      pause() {},
      resume() {},
    })
    const { id, kind, priority } = note('')
    const run = { session: 'a2', after: 0, transactions: [bytes('written again')], seal: bytes('seal') }
    writer.receive([{ message: { action: 'content', id, kind, priority, runs: [run] }, bytes: 10 }])
    await settle()
    expect(await held(server)).toEqual(state('a:4 a2:1'))
    await end()
  })

  test('what is written later into a forked session stays where it was written, without a storm', async () => {
    const { client, server, connect, settle, trace, end } = await pair(
      dialect,
      [note('a:0-3', { session: 'a', from: 1 })],
      [note('a:0-3')],
    )
    connect().ask(['note'])
    await settle()
    const told = trace.length
    const third = attachThird(server.runner, dialect)
    await settle()
    third.say(note('a:0-4'))
    await settle()
    expect(await held(server)).toEqual(state('a:4'))
    expect(await held(client)).toEqual(state('a:3'))
    expect(trace.length - told).toBeLessThan(4)
    await end()
  })

  test('after a reconnect the fork is found again, and again costs a few messages', async () => {
    const { client, server, connect, settle, trace, end } = await pair(
      dialect,
      [note('a:0-3', { session: 'a', from: 1 })],
      [note('a:0-3')],
    )
    for (let times = 1; times <= 3; times++) {
      const attached = connect()
      attached.ask(['note'])
      await settle()
      expect(forksSeen(server).filter((line) => line === 'found note a')).toHaveLength(times)
      expect(forksSeen(client).filter((line) => line === 'found note a')).toHaveLength(times)
    }
    expect(trace.length).toBeLessThan(3 * 10)
    await end()
  })

  test('equal digests are no fork, and documents of JSON have none', async () => {
    const json = append('text', 'a:0-3')
    const { client, server, connect, settle, trace, end } = await pair(
      dialect,
      [note('a:0-3'), json],
      [note('a:0-3'), json],
    )
    connect().ask(['note', 'text'])
    await settle()
    expect([...forksSeen(client), ...forksSeen(server)]).toEqual([])
    expect(trace).toEqual([
      '> LOAD note header a:3',
      '> LOAD text header a:3',
      '< KNOWN note header a:3',
      '< KNOWN text header a:3',
    ])
    await end()
  })
})

/** Somebody else who writes. */
function attachThird(server: Runner, dialect: Dialect) {
  const [near, far] = createPipe(dialect)
  attach(server, far)
  near.open({ frame() {}, drained() {}, closed() {} })
  const codec = dialect.createCodec()
  return {
    say(content: Append) {
      const { verifier: _, ...rest } = content
      for (const frame of codec.encode([{ action: 'content', ...rest }], 1 << 20)) near.send(frame)
    },
  }
}
