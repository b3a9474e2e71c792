/**
 * What a client and a handle show of themselves, as it is at the moment.
 *
 * Getters of a class, because an object with getters of its own costs fifty times as much to make, and what it leads to stays in memory until all
 * garbage is collected. Not `#source`: who puts a proxy around a document, as frameworks do, has no private field of it.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Opened } from '@tidemark/storage'
import type { ConnectionState, Disconnect } from '@tidemark/sync/reconnect'
import type { DocState, DocStatus } from './doc.ts'
import type { Failure } from './errors.ts'
import type { Hub } from './hub.ts'
import type { Standing } from './standing.ts'

export class ShownClient {
  private readonly hub: Hub
  constructor(hub: Hub) {
    this.hub = hub
  }
  get connection(): ConnectionState {
    return this.hub.connection()
  }
  get disconnected(): Disconnect | undefined {
    return this.hub.disconnected()
  }
  get opened(): Opened {
    return this.hub.opened()
  }
}

export interface HandleSource {
  readonly standing: Standing
  known(): KnownState
  status(): DocStatus
}

export class ShownHandle {
  private readonly source: HandleSource
  constructor(source: HandleSource) {
    this.source = source
  }
  get state(): DocState {
    return this.source.standing.state()
  }
  get absentBy(): readonly string[] {
    return this.source.standing.absentBy()
  }
  get failure(): Failure | undefined {
    return this.source.standing.failure()
  }
  get known(): KnownState {
    return this.source.known()
  }
  get status(): DocStatus {
    return this.source.status()
  }
}
