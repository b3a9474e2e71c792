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
  /** Choices of the longest way to rest. */
  readonly longest: number
  /** Not all were visited: there are more than allowed. */
  readonly isCut: boolean
}

/** @throws Error with the choices that led there, when a law does not hold. */
export function explore(create: () => InterleavedWorld, statesMax: number): Explored {
  const seen = new Set<string>()
  const open: number[][] = [[]]
  let ends = 0
  let longest = 0
  for (let way = open.pop(); way !== undefined; way = open.pop()) {
    const world = create()
    const taken: (() => string)[] = []
    try {
      for (const index of way) taken.push(world.take(index))
      while (!isSeen(world)) {
        if (seen.size > statesMax) return { states: statesMax, ends, longest, isCut: true }
        const count = world.count()
        longest = Math.max(longest, way.length)
        if (count === 0) {
          ends += 1
          world.judge()
          break
        }
        for (let other = count - 1; other > 0; other--) open.push([...way, other])
        way = [...way, 0]
        taken.push(world.take(0))
      }
    } catch (cause) {
      throw new Error(`${cause}\n${taken.map((text) => text()).join('\n')}`, { cause })
    }
  }
  return { states: seen.size, ends, longest, isCut: false }

  function isSeen(world: InterleavedWorld): boolean {
    const state = hash('sha1', pictureOf(world.picture), 'base64')
    if (seen.has(state)) return true
    seen.add(state)
    return false
  }
}
