/**
 * Explores every order in which the choices of a world can be taken, each state once.
 *
 * Worlds cannot be copied, so one that is to be gone on with is made anew and led there again. Not here: what a choice is (`world.ts`).
 */
import { hash } from 'node:crypto'
import { pictureOf } from './picture.ts'
import type { InterleavedWorld } from './world.ts'

export interface Explored {
  readonly states: number
  /** Worlds that came to rest, in states of their own. */
  readonly ends: number
  /** Tells two sets of these states apart. */
  readonly endsHash: string
  /** Choices of the longest way to rest. */
  readonly longest: number
  /** Not all were visited: there are more than allowed. */
  readonly isCut: boolean
}

/** @throws Error with the choices that led there, when a law does not hold. */
export function explore(create: () => InterleavedWorld, statesMax: number): Explored {
  const seen = new Set<string>()
  const open: { readonly way: readonly number[]; readonly passed: readonly string[] }[] = [{ way: [], passed: [] }]
  const ends = new Set<string>()
  let longest = 0
  for (let begun = open.pop(); begun !== undefined; begun = open.pop()) {
    const way = [...begun.way]
    const passed = [...begun.passed]
    const world = create()
    const taken: (() => string)[] = []
    try {
      for (const index of way) taken.push(world.take(index))
      for (;;) {
        const state = hash('sha1', pictureOf(world.picture), 'base64')
        // Choices are put off for others only where worlds come to rest: in a circle they could be put off for ever.
        if (passed.includes(state)) throw new Error('this world goes round in a circle')
        if (seen.has(state)) break
        if (seen.size === statesMax) return explored(true)
        seen.add(state)
        passed.push(state)
        const count = world.count()
        longest = Math.max(longest, way.length)
        if (count === 0) {
          ends.add(state)
          world.judge()
          break
        }
        for (let other = count - 1; other > 0; other--) open.push({ way: [...way, other], passed: [...passed] })
        way.push(0)
        taken.push(world.take(0))
      }
    } catch (cause) {
      throw new Error(`${cause}\n${taken.map((text) => text()).join('\n')}`, { cause })
    }
  }
  return explored(false)

  function explored(isCut: boolean): Explored {
    const endsHash = hash('sha1', [...ends].sort().join(), 'base64')
    return { states: seen.size, ends: ends.size, endsHash, longest, isCut }
  }
}
