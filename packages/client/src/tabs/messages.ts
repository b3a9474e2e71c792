/**
 * What tabs say to each other. Plain data that can be cloned: the messages of the protocol themselves need no codec here.
 *
 * All that is said between a leader and a guest names the visit it belongs to: what a tab said or was told before its leader changed
 * means nothing afterwards.
 */
import type { Opened } from '@tidemark/storage'
import type { EngineSizes, Report } from '@tidemark/sync'
import type { ConnectionState, Disconnect } from '@tidemark/sync/reconnect'
import type { Link, Sent } from '@tidemark/sync/run'
import type { UpstreamFailure } from '../hub.ts'
import type { ClientUploadStatus, UploadOptions, UploadStatus } from '../uploads.ts'

/** Heard by all tabs. */
export type HallMessage =
  /** A tab wants to be the guest of whoever leads. */
  | { readonly type: 'join'; readonly tab: string; readonly visit: number }
  /** A tab leads from now on. */
  | { readonly type: 'leading'; readonly tab: string }

/** What a leader shows of itself. */
export interface Showing {
  readonly opened: Opened
  readonly connection: ConnectionState
  readonly disconnected: Disconnect | undefined
  readonly uploads: ClientUploadStatus
  readonly sizes: EngineSizes
  /** Somebody wants to be offline until somebody wants otherwise. */
  readonly staysOffline: boolean
}

export type ToLeader =
  | { readonly type: 'open'; readonly port: number; readonly id: string }
  | { readonly type: 'say'; readonly port: number; readonly messages: Parameters<Link['receive']>[0] }
  | { readonly type: 'drained' | 'closed'; readonly port: number }
  | { readonly type: 'settled'; readonly id: string }
  | { readonly type: 'command'; readonly command: 'reconnectNow' | 'disconnect' }
  | { readonly type: 'listen'; readonly on: boolean }
  | {
      readonly type: 'wait'
      readonly request: number
      readonly id: string | undefined
      readonly level: UploadOptions['level']
    }
  | { readonly type: 'wait no more'; readonly request: number }
  | { readonly type: 'leave' }

export type ToGuest =
  | { readonly type: 'welcome' | 'show'; readonly showing: Showing }
  /** Upload statuses of documents that the guest has open. */
  | { readonly type: 'statuses'; readonly statuses: readonly (readonly [id: string, status: UploadStatus])[] }
  | { readonly type: 'say'; readonly port: number; readonly sent: readonly Sent[]; readonly status: UploadStatus }
  | { readonly type: 'online' }
  | { readonly type: 'failed'; readonly report: UpstreamFailure }
  | { readonly type: 'uploaded'; readonly id: string }
  | { readonly type: 'report'; readonly report: Report }
  | { readonly type: 'answer'; readonly request: number; readonly failure: WaitFailure | undefined }

/** An error that was thrown in another tab. */
export interface WaitFailure {
  readonly name: string
  readonly code: string | undefined
  readonly message: string
  readonly id: string | undefined
}

/** Between one leader and one guest. */
export type Visit<Message> = Message & {
  readonly leader: string
  readonly visit: number
  readonly to: 'leader' | 'guest'
}
