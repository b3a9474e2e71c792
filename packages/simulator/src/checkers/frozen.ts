/**
 * Frozen sessions: who says on a connection that a session has two histories sends and takes no more of it there (L13).
 *
 * The message names one session; of those that it only counts nothing is known. Applications are expected to write no transaction
 * twice. Not here: whether forks are reported, and that nothing stored is of both histories (`forks.ts`).
 */
import type { ContentMessage, ErrorMessage } from '@tidemark/protocol'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { contentsOf, diskOf } from './stored.ts'

const utf8 = new TextDecoder()
/** The session that a message begins with. */
const NAMED = /^session ("(?:[^"\\]|\\.)*")/

interface Place {
  readonly node: string
  readonly id: string
  readonly session: string
}

export const frozen: MakeChecker = (world) => {
  /** Connection, node and document → sessions. */
  const frozenSessions = new Map<string, ReadonlySet<string>>()
  /** Text → where it came only after its session was frozen there. */
  const barred = new Map<string, Place[]>()
  /** Node → what came to it in time, or was written there. */
  const fair = new Map<string, Set<string>>()

  function freeze(connection: number, node: string, { id = '', message }: ErrorMessage): void {
    const [, session] = NAMED.exec(message) ?? []
    const key = keyOf(connection, node, id)
    if (session !== undefined)
      frozenSessions.set(key, new Set([...(frozenSessions.get(key) ?? []), JSON.parse(session)]))
  }

  const frozenAt = (connection: number, node: string, id: string): ReadonlySet<string> =>
    frozenSessions.get(keyOf(connection, node, id)) ?? NONE

  function sent(connection: number, from: string, to: string, { id, runs }: ContentMessage): void {
    const sessions = frozenAt(connection, from, id)
    for (const { session, after, transactions } of runs)
      if (transactions.length > 0 && sessions.has(session))
        throw new Violation(
          'frozen',
          `${from} sends ${to} ${id} ${session} after ${after}, of which it said that it has two histories`,
        )
  }

  function came(connection: number, node: string, { id, runs }: ContentMessage): void {
    const sessions = frozenAt(connection, node, id)
    for (const { session, transactions } of runs)
      for (const text of transactions.map((one) => utf8.decode(one)))
        if (!sessions.has(session)) add(fair, node, text)
        else barred.set(text, [...(barred.get(text) ?? []), { node, id, session }])
  }

  return {
    happened(happening) {
      if (happening.type === 'wrote') for (const text of happening.texts) add(fair, happening.node, text)
      else if (happening.type === 'said' || happening.type === 'heard') {
        const { connection, from, to, message } = happening
        if (happening.type === 'heard' && message.action === 'content') came(connection, to, message)
        else if (happening.type === 'said' && message.action === 'content') sent(connection, from, to, message)
        else if (happening.type === 'said' && message.action === 'error' && message.code === 'fork')
          freeze(connection, from, message)
      }
    },
    async judge() {
      for (const [text, places] of barred)
        for (const { node, id, session } of places) {
          const disk = diskOf(world, node)
          if (disk === undefined || fair.get(node)?.has(text)) continue
          if ((await contentsOf(disk, id))?.get(session)?.includes(text))
            throw new Violation(
              'frozen',
              `${node} took ${text} of ${id} ${session}, of which it had said that it has two histories`,
            )
        }
    },
  }
}

const NONE: ReadonlySet<string> = new Set()

const keyOf = (...parts: readonly (string | number)[]): string => JSON.stringify(parts)

function add(texts: Map<string, Set<string>>, node: string, text: string): void {
  const present = texts.get(node) ?? new Set()
  texts.set(node, present.add(text))
}
