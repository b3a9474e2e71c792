/**
 * Durability: what anybody says it holds is on its disk, and so is what its application was told to be written.
 *
 * L3: store, then acknowledge, then send on. What a server on several disks acknowledges was stored by as many of them as its policy
 * wants; what one of them lost since takes nothing back (decision 019).
 */
import { covers, EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import type { Message } from '@tidemark/protocol'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { contentsOf, diskOf } from './stored.ts'
import { watchVotes } from './votes.ts'

export const durability: MakeChecker = (world) => {
  /** What each application was told to be written, since its disk was lost the last time. */
  const written = new Map<string, Map<string, Set<string>>>()
  const votes = watchVotes(world)

  function check(node: string, id: string, claim: KnownState, what: string): void {
    const disk = diskOf(world, node)
    if (disk === undefined || disk.state(id)?.erased !== undefined) return
    const held = disk.known(id) ?? EMPTY
    if (covers(held, claim)) return
    const text = `${node} says ${what} of ${id} as ${describeState(claim)}; its disk holds ${describeState(held)}`
    throw new Violation('durability', text)
  }

  /** What a node promises of all that it acknowledges. */
  function checkLevel(node: string, message: Message): void {
    const level = diskOf(world, node)?.level
    if (message.action === 'hello' && message.level === 'durable' && level === 'stored')
      throw new Violation('durability', `${node} promises that what it acknowledges is durable; its disk only stores`)
  }

  return {
    happened(happening) {
      votes.happened(happening)
      if (happening.type === 'said') {
        const { from, message } = happening
        checkLevel(from, message)
        const claim = claimOf(message)
        if (claim !== undefined) check(from, claim.id, claim.known, message.action)
        // Content is sent of all that is held; what is only said to be held is an acknowledgement.
        if (claim !== undefined && message.action !== 'content') votes.check(from, claim.id, claim.known)
      } else if (happening.type === 'resolved') {
        const { node, id, texts } = happening
        const documents = written.get(node) ?? new Map<string, Set<string>>()
        written.set(node, documents)
        const all = documents.get(id) ?? new Set<string>()
        documents.set(id, all)
        for (const text of texts) all.add(text)
      } else if (happening.type === 'crashed' && happening.fate !== 'kept') written.delete(happening.node)
    },
    async judge() {
      for (const [node, documents] of written) {
        const disk = diskOf(world, node)
        if (disk === undefined) continue
        for (const [id, texts] of documents) {
          if (disk.state(id)?.erased !== undefined) continue
          const stored = new Set([...((await contentsOf(disk, id)) ?? new Map()).values()].flat())
          for (const text of texts)
            if (!stored.has(text))
              throw new Violation(
                'durability',
                `${node} was told that ${text} of ${id} is written, and does not hold it`,
              )
        }
      }
    },
  }
}

/** What a message says that its sender holds. */
function claimOf(message: Message): { readonly id: string; readonly known: KnownState } | undefined {
  if (message.action === 'known' || message.action === 'load') return { id: message.id, known: message.known }
  if (message.action !== 'content') return undefined
  const ends = message.runs.map(({ session, after, transactions }) => [session, after + transactions.length] as const)
  const known = knownState(message.header !== undefined, ends)
  return { id: message.id, known: union(known, message.expectUntil ?? EMPTY) }
}
