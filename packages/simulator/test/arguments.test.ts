/**
 * The arguments of `pnpm sim`: what makes sense is played, anything else is a sentence and never a run that says all is well.
 */
import { expect, test } from 'vitest'
import { argumentsOf, replayOf, UsageError } from '../sim/arguments.ts'

const PROFILES = ['calm', 'storm']
const parse = (line: string) => argumentsOf(line === '' ? [] : line.split(' '), PROFILES)

test('one world has a seed, a profile and the steps that are left out', () => {
  expect(parse('--seed 42 --profile calm --without 3,5-7')).toEqual({
    seed: 42,
    profile: 'calm',
    without: new Set([3, 5, 6, 7]),
  })
  expect(parse('--seed 0')).toEqual({ seed: 0, profile: 'storm', without: new Set() })
})

test('many worlds have a range of seeds and some profiles, and all profiles if none is named', () => {
  expect(parse('')).toEqual({ from: 1, until: 1000, profiles: PROFILES, workers: undefined, record: undefined })
  expect(parse('--seeds 7 --profile storm,calm --workers 2 --record runs.md')).toEqual({
    from: 7,
    until: 7,
    profiles: ['storm', 'calm'],
    workers: 2,
    record: 'runs.md',
  })
})

test('a server on several disks has so many, and a policy that fits', () => {
  expect(parse('--seed 1 --disks 2')).toMatchObject({ disks: 2, policy: 'all-required' })
  expect(parse('--seeds 1-2 --disks 3 --policy any-durable')).toMatchObject({ disks: 3, policy: 'any-durable' })
  expect(parse('--disks 3 --policy 2')).toMatchObject({ disks: 3, policy: { quorum: 2 } })
})

test('a plain scenario is asked for by name', () => {
  expect(parse('--seeds 1-2 --scenario plain')).toMatchObject({ from: 1, plain: true })
  expect(parse('--seeds 1-2 --scenario varied')).not.toHaveProperty('plain')
})

test.each([
  ['--scenario odd', /--scenario takes varied or plain, but was given "odd"/],
  ['--disks 1', /--disks takes how many .*from 2 to 5, but was given "1": write, for example, --disks 2/],
  ['--disks two', /"two"/],
  ['--disks 2 --policy some', /--policy takes all-required, any-durable, or how many .*"some"/],
  ['--disks 2 --policy 3', /"3"/],
  ['--policy any-durable', /no --disks was given: add, for example, --disks 2/],
  ['--seed 4294967296', /--seed takes a whole number below 4,294,967,296, but was given "4294967296"/],
  ['--seeds 4294967290-4294967296', /below 4,294,967,296/],
  ['--seed abc', /--seed takes a whole number below 4,294,967,296, but was given "abc": write, for example, --seed 42/],
  ['--seed 1.5', /"1.5"/],
  ['--seed -1', /"-1"/],
  ['--seed 99999999999999999999', /"99999999999999999999"/],
  ['--seed', /was given nothing/],
  ['--seed=', /was given nothing/],
  ['--seeds foo', /--seeds takes .* but was given "foo"/],
  ['--seeds 5-1', /goes up.*"5-1"/],
  ['--seeds 1-2-3', /"1-2-3"/],
  ['--seeds 1-', /"1-"/],
  ['--seeds 1-10000001', /10,000,000 seeds at most/],
  ['--workers 0', /from 1 to 256, but was given "0"/],
  ['--workers abc', /"abc"/],
  ['--seed 1 --without abc', /--without takes .* but was given "abc"/],
  ['--seed 1 --without 7-5', /"7-5"/],
  ['--seed 1 --without 1,', /"1,"/],
  ['--seed 1 --without 1-999999999', /"1-999999999"/],
  ['--seed 1 --without', /--without takes .* but was given nothing: write, for example, --without 3,5-7/],
  ['--without --seed 1', /--without takes .* but was given nothing/],
  ['--without 3', /no --seed was given/],
  ['--seed 1 --seeds 1-2', /both were given: leave one/],
  ['--seed 1 --record runs.md', /both were given: leave one/],
  ['--seed 1 --seed 2', /--seed is expected once/],
  ['--seed 1 --profile calm,storm', /one profile.*"calm,storm": name one/],
  ['--profile hurricane', /no profile "hurricane": give --profile one or more of calm,storm/],
  ['--colour blue', /no option "--colour": the options are --seed, --seeds/],
  ['-s 1', /no option "-s"/],
  ['42', /only options are expected, but "42" was given/],
])('%s is answered with what was expected, what came and what to do', (line, sentence) => {
  expect(() => parse(line)).toThrow(UsageError)
  expect(() => parse(line)).toThrow(sentence)
})

test('the line that plays a world again names what was left out, and nothing where nothing was', () => {
  const without = new Set([5, 3, 7, 6])
  for (const layered of ['--disks 2 --policy any-durable', '--disks 3 --policy 2', '--scenario plain']) {
    const replayed = replayOf({ ...parse(`--seed 42 ${layered}`), seed: 42, profile: 'storm' })
    expect(replayed).toBe(`pnpm sim --seed 42 --profile storm ${layered}`)
  }
  const line = replayOf({ seed: 42, profile: 'storm', without })
  expect(line).toBe('pnpm sim --seed 42 --profile storm --without 3,5-7')
  expect(parse(line.slice('pnpm sim '.length))).toEqual({ seed: 42, profile: 'storm', without })
  expect(replayOf({ seed: 42, profile: 'storm', without: new Set() })).toBe('pnpm sim --seed 42 --profile storm')
})
