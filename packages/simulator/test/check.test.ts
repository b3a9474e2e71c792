/**
 * What a world is made of: a seed, a profile or a name that makes no sense is an error that says so, and never another world.
 */
import { expect, test } from 'vitest'
import { calm, createWorld, type Faults, profiles, simulate, storm } from '../src/index.ts'

test.each([-1, 1.5, 2 ** 32, Number.NaN, '7' as unknown as number])('seed %s is none', async (seed) => {
  expect(() => createWorld(seed, calm)).toThrow(/^seed: expected a whole number from 0 to 4294967295, got /)
  await expect(simulate(async () => {}, seed, calm)).rejects.toThrow(TypeError)
})

test('the least and the greatest seed are worlds, and so is every profile', () => {
  for (const seed of [0, 2 ** 32 - 1]) for (const faults of profiles) expect(createWorld(seed, faults).seed).toBe(seed)
})

const { disk: _, ...diskless } = storm
test.each<[string, unknown, RegExp]>([
  ['nothing', undefined, /^faults: expected an object, got undefined: begin with a whole profile/],
  ['no name', { ...storm, name: undefined }, /^faults\.name: expected a text, got undefined/],
  ['no disk', diskless, /^faults\.disk: expected an object, got undefined/],
  [
    'half a disk',
    { ...storm, disk: { full: 0.3 } },
    /^faults\.disk\.synchronous: expected a probability from 0 to 1, got/,
  ],
  ['too likely', { ...storm, disk: { ...storm.disk, full: 30 } }, /^faults\.disk\.full: .* from 0 to 1, got 30/],
  ['fewer than none', { ...storm, troubles: { ...storm.troubles, cuts: -1 } }, /^faults\.troubles\.cuts: .* got -1/],
  ['no range', { ...storm, hooks: { ...storm.hooks, lateMs: 5 } }, /^faults\.hooks\.lateMs: expected two numbers/],
  ['a range that goes down', { ...storm, hooks: { ...storm.hooks, lateMs: [5, 1] } }, /got \[5,1\]/],
  [
    'a word that is none',
    { ...storm, troubles: { ...storm.troubles, cut: 1 } },
    /^faults\.troubles\.cut: .*: leave it out/,
  ],
])('a profile with %s is refused with what is wrong, where, and what to write', (_what, faults, sentence) => {
  expect(() => createWorld(1, faults as Faults)).toThrow(TypeError)
  expect(() => createWorld(1, faults as Faults)).toThrow(sentence)
})

test('two nodes of one name are refused, whatever they are', async () => {
  const world = createWorld(1, calm)
  const server = await world.server('anna')
  const again = /^node: expected a name that no other has, got "anna" again/
  await expect(world.server('anna')).rejects.toThrow(again)
  await expect(world.client('anna', { server })).rejects.toThrow(again)
  await world.client('ben', { server })
  expect([world.servers.length, world.clients.length]).toEqual([1, 1])
})
