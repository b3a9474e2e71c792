/**
 * What happens in a world: the events that checkers judge and that the trace is made of.
 */
import type { KnownState } from '@tidemark/known-state'
import type { AckLevel, Message } from '@tidemark/protocol'
import type { Report } from '@tidemark/sync'

/** What a process finds on its disk when it starts again. */
export type Fate = 'kept' | 'tail lost' | 'restored' | 'wiped'

export type Happening =
  /** A message on its way from one node to another; `connection` is one for both ends. */
  | {
      readonly type: 'said' | 'heard'
      readonly connection: number
      readonly from: string
      readonly to: string
      readonly message: Message
    }
  | { readonly type: 'connected'; readonly connection: number; readonly client: string; readonly server: string }
  /** One end of a connection knows that it is over. */
  | { readonly type: 'disconnected'; readonly connection: number; readonly node: string }
  /** The disk of a node changed: what it now holds of a document. */
  | { readonly type: 'stored'; readonly node: string; readonly id: string; readonly known: KnownState }
  | {
      readonly type: 'disk failed'
      readonly node: string
      readonly method: string
      readonly ids: readonly string[]
      readonly how: string
    }
  | { readonly type: 'started' | 'crashed'; readonly node: string; readonly fate: Fate }
  | { readonly type: 'reported'; readonly node: string; readonly report: Report }
  /** Of a handle; handles are numbered. `reads`: its application waits for content; `left`: it has something else to do. */
  | {
      readonly type: 'opened' | 'closed' | 'reads' | 'left'
      readonly node: string
      readonly handle: number
      readonly id: string
      /** When opened: what the application has already. */
      readonly after?: KnownState | undefined
    }
  /** An application was given content by a handle. */
  | {
      readonly type: 'given'
      readonly node: string
      readonly handle: number
      readonly id: string
      readonly header: boolean
      readonly runs: readonly {
        readonly session: string
        readonly after: number
        readonly transactions: readonly Uint8Array[]
      }[]
    }
  /** An application was told that a write is durable, or that it was refused. */
  | {
      readonly type: 'wrote' | 'resolved' | 'rejected'
      readonly node: string
      readonly handle: number
      readonly id: string
      readonly session: string
      readonly texts: readonly string[]
      /** When resolved: the transaction that they stand behind, as far as the application knows. */
      readonly behind?: string | undefined
      readonly error?: unknown
    }
  /** The state of a handle changed. */
  | {
      readonly type: 'state'
      readonly node: string
      readonly handle: number
      readonly id: string
      readonly state: string
    }
  /** An application was told that all that is stored of a document, or of all, is uploaded: at the level that it asked for, if any. */
  | {
      readonly type: 'uploaded'
      readonly node: string
      readonly id: string | undefined
      readonly level?: AckLevel | undefined
    }
  | { readonly type: 'trouble' | 'step'; readonly text: string }

export type Observe = (happening: Happening) => void
