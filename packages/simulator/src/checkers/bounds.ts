/**
 * Bounds: tables hold what somebody needs, and nothing when nobody does; messages come to an end (L10).
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'

/** Messages of one world, and of one turn of one node: two ends that answer each other for ever reach it soon. */
const MESSAGES_MAX = 20_000

/** Of a server that came to rest. */
const AT_REST = ['requests.parked', 'contents.queued', 'pending']
/** Of a server whose clients have gone. */
const ALONE = [...AT_REST, 'connections.open', 'subscriptions', 'documents.subscribed']

export const bounds: MakeChecker = (world) => {
  let messages = 0

  function empty(names: readonly string[], when: string): void {
    for (const server of world.servers) {
      const sizes = server.sizes()
      const held = (sizes['tidemark.documents.held'] ?? 0) - (sizes['tidemark.documents.idle'] ?? 0)
      if (held !== 0) throw new Violation('bounds', `${server.name} keeps ${held} documents that nobody needs ${when}`)
      for (const name of names) {
        const size = sizes[`tidemark.${name}`] ?? 0
        if (size !== 0) throw new Violation('bounds', `${server.name} keeps ${size} ${name} ${when}`)
      }
    }
  }

  return {
    happened({ type }) {
      if (type === 'said' && ++messages > MESSAGES_MAX)
        throw new Violation('bounds', `there is no end of messages: ${MESSAGES_MAX}`)
    },
    async judge() {
      empty(AT_REST, 'at rest')
      for (const { name, client } of world.clients) {
        const sizes = client?.sizes()
        if (sizes !== undefined && (sizes.queued !== 0 || sizes.parked !== 0 || sizes.checks !== 0))
          throw new Violation('bounds', `${name} keeps ${sizes.queued} contents, ${sizes.parked} requests at rest`)
        if (sizes !== undefined && sizes.holdings !== sizes.idle)
          throw new Violation(
            'bounds',
            `${name} keeps ${sizes.holdings - sizes.idle} documents that nobody needs at rest`,
          )
      }
    },
    async ended() {
      empty(ALONE, 'without clients')
    },
  }
}
