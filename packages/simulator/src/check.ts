/**
 * What a world is made of, checked before it begins: a wrong value would play another world than was asked for, and say that all is well.
 *
 * @throws TypeError that says what was expected, what came, and what to write. Not here: whether a profile is sensible.
 */
import { calm, type Faults } from './faults.ts'

/** Chance takes seeds of 32 bits: others would be the worlds of smaller ones. */
const SEED_END = 2 ** 32

export function checkSeed(seed: number): void {
  if (Number.isInteger(seed) && seed >= 0 && seed < SEED_END) return
  throw new TypeError(
    `seed: expected a whole number from 0 to ${SEED_END - 1}, got ${seed}: a number beyond would be the world of another seed`,
  )
}

/** A profile has everything that `calm` has, and nothing else. */
export function checkFaults(faults: Faults): void {
  checkAs('faults', faults, calm)
}

export function checkName(name: string, taken: Iterable<{ readonly name: string }>): void {
  for (const node of taken)
    if (node.name === name)
      throw new TypeError(
        `node: expected a name that no other has, got ${JSON.stringify(name)} again: give every server and client one of its own`,
      )
}

function checkAs(path: string, given: unknown, sample: unknown): void {
  if (Array.isArray(sample)) return checkRange(path, given)
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
  // What is neither a number of troubles nor a speed is a probability.
  const most = part === 'troubles' || name === 'slowBytesPerMs' ? Number.MAX_VALUE : 1
  if (typeof given !== 'number' || !(given >= 0 && given <= most))
    throw wrong(path, most === 1 ? 'a probability from 0 to 1' : 'a number that is not negative', given)
}

function checkRange(path: string, given: unknown): void {
  if (Array.isArray(given) && given.length === 2 && given.every(Number.isFinite) && given[0] <= given[1]) return
  throw wrong(path, 'two numbers, [least, end]', given)
}

function wrong(path: string, expected: string, given: unknown): TypeError {
  return new TypeError(
    `${path}: expected ${expected}, got ${JSON.stringify(given)}: begin with a whole profile and change what you like, as { ...calm, disk: { ...calm.disk, full: 0.3 } }`,
  )
}
