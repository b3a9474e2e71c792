/**
 * What a world is asked for: time that does not pass, nodes that there are not, disks that cannot be, each an error that says what to write.
 */
import { expect, test } from 'vitest'
import {
  bindings,
  calm,
  createWorld,
  type Faults,
  households,
  type MakeChecker,
  simulate,
  storm,
  trouble,
  Violation,
} from '../src/index.ts'

const none = undefined as unknown as number
const milliseconds = /expected a number of milliseconds that is not negative, got .*: write, for example, /

test.each([none, Number.NaN, -500, Number.POSITIVE_INFINITY])('%s milliseconds are no time to pass', async (ms) => {
  const world = createWorld(1, calm)
  await expect(world.pass(ms)).rejects.toThrow(milliseconds)
  expect(() => world.after(ms, () => {})).toThrow(milliseconds)
  expect(() => world.stepAfter(ms, 'nothing', () => {})).toThrow(milliseconds)
  let called = false
  world.after(5, () => {
    called = true
  })
  await world.pass(100)
  expect({ now: world.now, called, steps: world.steps }).toEqual({ now: 100, called: true, steps: [] })
})

test('what is due after a violation is not called any more, nor is its time', async () => {
  const law: MakeChecker = () => ({
    happened({ type }) {
      if (type === 'step') throw new Violation('steps', 'there was one')
    },
  })
  const world = createWorld(1, calm, { checkers: [law] })
  let called = false
  world.after(5, () => world.note('a step'))
  world.after(5, () => {
    called = true
  })
  await expect(world.pass(100)).rejects.toThrow('there was one')
  expect({ now: world.now, called }).toEqual({ now: 5, called: false })
})

test.each([
  [{ disks: 0 }, /^disks: expected a whole number, at least 1, got 0/],
  [{ disks: 1.5 }, /^disks: .* got 1.5/],
  [{ disks: 2, policy: { quorum: 9 } }, /^policy: .* a quorum from 1 to 2, got {"quorum":9}/],
  [{ disks: 2, policy: 'most' as 'any-durable' }, /^policy: .* got "most"/],
])('a server of %j is refused, and is not tried for ever', async (given, sentence) => {
  const world = createWorld(1, calm)
  await expect(world.server('server', given)).rejects.toThrow(sentence)
  expect(world.servers).toEqual([])
})

test('who connects to no server of the same world is refused', async () => {
  const world = createWorld(1, calm)
  const nowhere = /^anna: expected a server of this world, got .*const server = await world\.server/
  await expect(world.client('anna', {} as never)).rejects.toThrow(nowhere)
  await expect(world.client('anna', undefined as never)).rejects.toThrow(nowhere)
  const server = await createWorld(2, calm).server('server')
  await expect(world.client('anna', { server })).rejects.toThrow(nowhere)
  expect(() => world.writer('anna', { server } as never)).toThrow(nowhere)
  await expect(world.client(undefined as never, { server })).rejects.toThrow(/^node: expected a name, got undefined/)
})

test('a misspelt node is not jumped, cut or partitioned', async () => {
  const world = createWorld(1, calm)
  const server = await world.server('server')
  await world.client('anna', { server })
  expect(() => world.jump('ana', 5)).toThrow(/^node: expected one of server, anna, got "ana"/)
  expect(() => world.jump('anna', Number.NaN)).toThrow(/^jump: expected a number of milliseconds, got NaN/)
  expect(() => world.network.cut('server')).toThrow(/^node: expected one of anna, got "server"/)
  expect(() => world.network.partition('ana', 5)).toThrow(/^node: /)
  expect(() => world.network.partition('anna', none)).toThrow(milliseconds)
  world.jump('server', -5)
  world.network.cut('anna')
})

test('trouble has a length, and somebody whom it befalls', async () => {
  const world = createWorld(1, storm)
  expect(() => trouble(world, 1_000)).toThrow(/^trouble: .* without servers/)
  const server = await world.server('server')
  expect(() => trouble(world, 1_000)).toThrow(/^trouble: .* without clients/)
  await world.client('anna', { server })
  expect(() => trouble(world, none)).toThrow(milliseconds)
})

const { network, disk, troubles } = calm

test.each<[string, Faults, RegExp]>([
  [
    'a delay that no network has',
    { ...calm, network: { ...network, delayMs: [-5, 1] } },
    /^faults\.network\.delayMs: expected two numbers .* from 0 to 604800000 \(7 days\), got \[-5,1\]: begin with/,
  ],
  [
    'a speed that no network has',
    { ...calm, network: { ...network, slowBytesPerMs: 0 } },
    /slowBytesPerMs: expected a number, at least 0.001, got 0/,
  ],
  ['a speed of nothing', { ...calm, network: { ...network, slowBytesPerMs: 1e-300 } }, /at least 0.001, got 1e-300/],
  [
    'more troubles than a world has steps',
    { ...calm, troubles: { ...troubles, cuts: 1e9 } },
    /^faults\.troubles\.cuts: expected a number from 0 to 1000, got 1000000000: begin with/,
  ],
  [
    'a disk that takes years',
    { ...calm, disk: { ...disk, delayMs: [0, 1e12] } },
    /\.delayMs: .*\(7 days\), got \[0,1000000000000\]/,
  ],
  [
    'a clock that jumps by millennia',
    { ...calm, troubles: { ...troubles, clockJumpMs: [-1e300, 0] } },
    /\.clockJumpMs: .* from -\d+ to \d+ \(36525 days\), got \[-1e\+300,0\]/,
  ],
])('%s: such a profile is refused', (_what, faults, sentence) => {
  expect(() => createWorld(1, faults)).toThrow(sentence)
})

test('the most of everything is a profile', () => {
  const faults = {
    ...calm,
    troubles: { ...troubles, cuts: 1_000, outageMs: [0, 604_800_000], clockJumpMs: [-3_155_760_000_000, 0] },
  } satisfies Faults
  expect(createWorld(1, faults).faults).toBe(faults)
})

test('a scenario of nobody is none', () => {
  expect(() => households({ clients: 0, operations: 1 })).toThrow(/^clients: .* at least 1, got 0/)
  expect(() => bindings({ bind: () => 1, write: async () => {}, read: () => [] }, { clients: 0 })).toThrow(/^clients: /)
})

test('a bind that returns nothing fails its world with a sentence', async () => {
  const scenario = bindings({ bind: () => undefined, write: async () => {}, read: () => [] })
  const { failure } = await simulate(scenario, 1, calm)
  expect(String(failure?.cause)).toMatch(/^TypeError: bind: expected .* got undefined: return it/)
})

test('a world in a proxy, as frameworks make them, shows its time and its trace', async () => {
  const world = createWorld(1, calm)
  await world.pass(5)
  const shown = new Proxy(world, {})
  expect([shown.now, shown.trace]).toEqual([5, []])
})
