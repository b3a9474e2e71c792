/**
 * What a world is made of and asked for, checked before it is: a wrong value would play another world, and say that all is well, or none at all.
 *
 * @throws TypeError that says what was expected, what came, and what to write. Not here: whether a profile is sensible.
 */
import type { WritePolicy } from '@tidemark/reconciliation/layers'
import { calm, type Faults } from './faults.ts'

/** Chance takes seeds of 32 bits: others would be the worlds of smaller ones. */
const SEED_END = 2 ** 32

export function checkSeed(seed: number): void {
  if (Number.isInteger(seed) && seed >= 0 && seed < SEED_END) return
  throw new TypeError(
    `seed: expected a whole number from 0 to ${SEED_END - 1}, got ${seed}: a number beyond would be the world of another seed`,
  )
}

/** Expected in one stretch of trouble: with a million of them no world would ever come to its end. */
const TROUBLES_MAX = 1_000
/** Of anything that takes time: a world passes what it waits for. */
const LASTS_DAYS_MAX = 7
/** Of a clock that jumps. */
const JUMP_DAYS_MAX = 36_525
const DAY_MS = 86_400_000
/** One byte a second. */
const SLOWEST_BYTES_PER_MS = 0.001

/** A profile has everything that `calm` has, and nothing else. */
export function checkFaults(faults: Faults): void {
  checkAs('faults', faults, calm)
}

export function checkName(name: string, taken: Iterable<{ readonly name: string }>): void {
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`node: expected a name, got ${said(name)}: begin with one, as in await world.server('server')`)
  for (const node of taken)
    if (node.name === name)
      throw new TypeError(
        `node: expected a name that no other has, got ${JSON.stringify(name)} again: give every server and client one of its own`,
      )
}

export function checkKnown(name: string, nodes: Iterable<{ readonly name: string }>): void {
  const names = [...nodes].map((node) => node.name)
  if (!names.includes(name))
    throw new TypeError(`node: expected one of ${names.join(', ') || 'none so far'}, got ${said(name)}: make it first`)
}

/** `example` is what to write. */
export function checkMs(what: string, ms: number, example: string): void {
  if (Number.isFinite(ms) && ms >= 0) return
  throw new TypeError(
    `${what}: expected a number of milliseconds that is not negative, got ${said(ms)}: write, for example, ${example}`,
  )
}

/** A clock may go back as well. */
export function checkJump(ms: number): void {
  if (Number.isFinite(ms)) return
  throw new TypeError(
    `jump: expected a number of milliseconds, got ${said(ms)}: write, for example, world.jump('anna', -60_000)`,
  )
}

export function checkCount(what: string, count: number, least: number): void {
  if (Number.isSafeInteger(count) && count >= least) return
  throw new TypeError(`${what}: expected a whole number, at least ${least}, got ${said(count)}: write, for example, 3`)
}

/** Layers would refuse it whenever its server starts, and that would try again for ever. */
export function checkDisks(disks: number, policy: WritePolicy): void {
  checkCount('disks', disks, 1)
  if (policy === 'all-required' || policy === 'any-durable') return
  const quorum = (policy as Partial<Exclude<WritePolicy, string>> | null)?.quorum
  if (Number.isInteger(quorum) && (quorum as number) >= 1 && (quorum as number) <= disks) return
  throw new TypeError(
    `policy: expected 'all-required', 'any-durable' or a quorum from 1 to ${disks}, got ${said(policy)}: write, for example, { disks: 3, policy: { quorum: 2 } }`,
  )
}

/** Who connects, connects to a server of the same world. */
export function checkServer<T extends { readonly name: string }>(
  name: string,
  server: T | undefined,
  servers: readonly T[],
): void {
  if (server !== undefined && servers.includes(server)) return
  const got = server === undefined || server === null ? said(server) : 'something else'
  throw new TypeError(
    `${name}: expected a server of this world, got ${got}: const server = await world.server('server'), and then { server }`,
  )
}

function checkAs(path: string, given: unknown, sample: unknown): void {
  // Only a clock can go back.
  if (Array.isArray(sample)) return checkRange(path, given, path.endsWith('.clockJumpMs'))
  if (typeof sample === 'number') return checkNumber(path, given)
  if (typeof sample === 'string') {
    if (typeof given !== 'string') throw wrong(path, 'a text', given)
    return
  }
  if (typeof given !== 'object' || given === null) throw wrong(path, 'an object', given)
  const expected = sample as Readonly<Record<string, unknown>>
  for (const [name, each] of Object.entries(expected))
    checkAs(`${path}.${name}`, (given as Readonly<Record<string, unknown>>)[name], each)
  for (const name of Object.keys(given))
    if (!Object.hasOwn(expected, name))
      throw new TypeError(`${path}.${name}: expected one of ${Object.keys(expected).join(', ')}: leave it out`)
}

function checkNumber(path: string, given: unknown): void {
  const [, part, name] = path.split('.')
  if (name === 'slowBytesPerMs') {
    if (!(Number.isFinite(given) && (given as number) >= SLOWEST_BYTES_PER_MS))
      throw wrong(path, `a number, at least ${SLOWEST_BYTES_PER_MS}`, given)
    return
  }
  // What is no number of troubles is a probability.
  const isCount = part === 'troubles'
  if (typeof given !== 'number' || !(given >= 0 && given <= (isCount ? TROUBLES_MAX : 1)))
    throw wrong(path, isCount ? `a number from 0 to ${TROUBLES_MAX}` : 'a probability from 0 to 1', given)
}

function checkRange(path: string, given: unknown, maybeNegative: boolean): void {
  const days = maybeNegative ? JUMP_DAYS_MAX : LASTS_DAYS_MAX
  const end = days * DAY_MS
  const least = maybeNegative ? -end : 0
  const isRange = Array.isArray(given) && given.length === 2 && given.every(Number.isFinite) && given[0] <= given[1]
  if (isRange && given[0] >= least && given[1] <= end) return
  throw wrong(path, `two numbers [least, end] from ${least} to ${end} (${days} days)`, given)
}

/** As it would be written; not all of a large object. */
const said = (given: unknown): string =>
  typeof given === 'number' || given === undefined
    ? String(given)
    : (JSON.stringify(given)?.slice(0, 100) ?? typeof given)

function wrong(path: string, expected: string, given: unknown): TypeError {
  return new TypeError(
    `${path}: expected ${expected}, got ${said(given)}: begin with a whole profile and change what you like, as { ...calm, disk: { ...calm.disk, full: 0.3 } }`,
  )
}
