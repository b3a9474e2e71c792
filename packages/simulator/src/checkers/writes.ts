/**
 * Writes: an application that waits for a write is told how it ended, once everything healed and came to rest: that it is written, or why not.
 *
 * Not of handles that were read and are not any more: what such an application has not taken, its writes may wait for.
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'

interface Writing {
  readonly node: string
  readonly id: string
  /** What has not ended, oldest first: the texts of a write. */
  waiting: (readonly string[])[]
  isLeft: boolean
}

export const writes: MakeChecker = () => {
  /** Of the processes that live: what a killed one still does is told to nobody. */
  const handles = new Map<number, Writing>()

  return {
    happened(happening) {
      if (happening.type === 'crashed') {
        for (const [number, { node }] of handles) if (node === happening.node) handles.delete(number)
      } else if (happening.type === 'opened') {
        const { handle, node, id } = happening
        handles.set(handle, { node, id, waiting: [], isLeft: false })
      } else if (happening.type === 'reads' || happening.type === 'left') {
        const writing = handles.get(happening.handle)
        if (writing !== undefined) writing.isLeft = happening.type === 'left'
      } else if (happening.type === 'wrote') handles.get(happening.handle)?.waiting.push(happening.texts)
      else if (happening.type === 'resolved' || happening.type === 'rejected') {
        const writing = handles.get(happening.handle)
        if (writing !== undefined) writing.waiting = without(writing.waiting, happening.texts)
      }
    },
    async judge() {
      for (const [number, { node, id, waiting, isLeft }] of handles) {
        const [texts] = waiting
        if (texts === undefined || isLeft) continue
        const what = texts.join(' ') || 'the header'
        const text = `the application of ${node} is never told whether ${what} of ${id} is written (handle ${number})`
        throw new Violation('writes', text)
      }
    },
  }
}

/** Without the first of them that says the same. */
function without(all: readonly (readonly string[])[], texts: readonly string[]): (readonly string[])[] {
  const index = all.findIndex((one) => one.length === texts.length && one.every((text, at) => text === texts[at]))
  return all.filter((_, at) => at !== index)
}
