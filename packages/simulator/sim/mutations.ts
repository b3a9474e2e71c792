/**
 * Mutations: laws broken on purpose, each as one change to one source file, and the seed whose checker catches it.
 *
 * The text that is replaced has to be there exactly once, so a mutation that no longer fits its source says so. `node
 * sim/search.ts` finds the seeds; `test/mutations.test.ts` plays those that are recorded. A law whose breaking is
 * not caught within 2,000 worlds has a checker that is not good enough.
 */
import type { WritePolicy } from '@tidemark/reconciliation/layers'

export interface Mutation {
  readonly name: string
  /** The law that it breaks. */
  readonly law: string
  /** Below `packages/`. */
  readonly file: string
  readonly from: string
  readonly to: string
  /** How the server of its worlds is made, if not on one disk. */
  readonly server?: { readonly disks: number; readonly policy: WritePolicy }
  /** Its worlds differ in more than their luck, as those of `pnpm sim`. */
  readonly varied?: boolean
  readonly caught: Caught
}

export interface Caught {
  readonly profile: string
  readonly seed: number
  readonly checker: string
}

export const mutations: readonly Mutation[] = [
  {
    name: 'acknowledge before it is stored',
    law: 'L3',
    file: 'sync/src/on-content.ts',
    from: '  confirm(view, sure)',
    to: '  if (!connection.traits.local) sendKnown(core, connection, holding, ends)\n  confirm(view, sure)',
    caught: { profile: 'calm', seed: 1, checker: 'durability' },
  },
  {
    name: 'take a failed look-up for absence',
    law: 'L2',
    file: 'sync/src/on-looked.ts',
    from: "  if ('failed' in outcome) return lookFailed(core, holding, outcome.failed)",
    to: "  if ('failed' in outcome) outcome = { value: undefined }",
    caught: { profile: 'disks', seed: 5, checker: 'absence' },
  },
  {
    name: 'drop what is parked when the storage has answered',
    law: 'L1',
    file: 'sync/src/on-looked.ts',
    from: "    replay(core, holding, 'look')\n  })\n}",
    to: '  })\n}',
    caught: { profile: 'calm', seed: 1, checker: 'bounds' },
  },
  {
    name: 'answer before the storage',
    law: 'L1',
    file: 'sync/src/holdings.ts',
    from: '  if (holding.looked) return holding\n',
    to: "  if (holding.looked || request.work.action === 'load') return holding\n",
    caught: { profile: 'calm', seed: 670, checker: 'absence' },
  },
  {
    name: 'correct with less than is held',
    law: 'L5',
    file: 'sync/src/corrections.ts',
    from: '    ...told(connection, holding, tellable(connection, holding)),\n    correction: true,',
    to: '    known: EMPTY,\n    correction: true,',
    caught: { profile: 'disks', seed: 1, checker: 'absence' },
  },
  {
    name: 'believe across reconnects',
    law: 'L6',
    file: 'sync/src/on-connection.ts',
    from: '    views: new Map(),',
    to: '    views: ((core as any).remembered ??= new Map()),',
    caught: { profile: 'flaky', seed: 1, checker: 'uploads' },
  },
  {
    name: 'do not ask who claims more than we hold',
    law: 'L7',
    file: 'sync/src/on-load.ts',
    from: '  if (claimsMore) view.claims = claim\n',
    to: '',
    caught: { profile: 'losses', seed: 3, checker: 'convergence' },
  },
  {
    name: 'send dependents before their dependencies',
    law: 'L9',
    file: 'sync/src/senders.ts',
    from: '  if (page.header !== undefined && !dependenciesFirst(core, connection, holding, view, page)) return\n',
    to: '',
    caught: { profile: 'calm', seed: 8, checker: 'dependencies' },
  },
  {
    name: 'keep the subscriptions of who has gone',
    law: 'L10',
    file: 'sync/src/on-connection.ts',
    from: '    else unsubscribe(core, connection, id)',
    to: '    else if (upstreams) unsubscribe(core, connection, id)',
    caught: { profile: 'calm', seed: 1, checker: 'bounds' },
  },
  {
    name: 'follow what nobody has open',
    law: 'L10',
    file: 'sync/src/settlement.ts',
    from: '      endIfUnwanted(core, connection, holding.id)\n',
    to: '',
    varied: true,
    caught: { profile: 'losses', seed: 297, checker: 'subscriptions' },
  },
  {
    name: 'let everybody read and write',
    law: 'L14',
    file: 'sync/src/checks.ts',
    from: '  if (core.options.asks?.authorize !== true || connection',
    to: '  if (core.options.asks !== undefined || connection',
    caught: { profile: 'calm', seed: 1, checker: 'secrecy' },
  },
  {
    name: 'merge two histories of a session',
    law: 'L13',
    file: 'storage/src/judge.ts',
    from: "  if (!continues(run, kind, held, overlap)) return refuse('fork', held)\n",
    to: '',
    caught: { profile: 'losses', seed: 74, checker: 'forks' },
  },
  {
    name: 'say nothing of a fork',
    law: 'L13',
    file: 'sync/src/forks.ts',
    from: "  report(core, { kind: 'fork', connection: connection.id, id: holding.id, sessions: found })\n  if (!connection.traits.errors) return true",
    to: '  if (connection !== undefined) return true',
    caught: { profile: 'losses', seed: 74, checker: 'forks' },
  },
  {
    name: 'send a session that has two histories',
    law: 'L13',
    file: 'sync/src/senders.ts',
    from: 'const passesOver = ({ frozen, tooLarge }: View): boolean => frozen !== undefined || tooLarge !== undefined\n',
    to: 'const passesOver = ({ tooLarge }: View): boolean => tooLarge !== undefined\n',
    caught: { profile: 'losses', seed: 74, checker: 'frozen' },
  },
  {
    name: 'store what continues another history of a session',
    law: 'L13',
    file: 'storage/src/judge.ts',
    from: '    if (required(digest, run) !== run.digest) return false\n',
    to: '    required(digest, run)\n',
    caught: { profile: 'losses', seed: 74, checker: 'forks' },
  },
  {
    name: 'tell the application that it is written when it is sent',
    law: 'L3',
    file: 'client/src/writes.ts',
    from: '    port.send(\n      asMessage(port, entries, after),',
    to: '    for (const entry of entries) entry.resolve()\n    port.send(\n      asMessage(port, entries, after),',
    caught: { profile: 'disks', seed: 2, checker: 'forks' },
  },
  {
    name: 'give an application what it has',
    law: 'once',
    file: 'client/src/handle.ts',
    from: '    if (content !== undefined) inbox.put({ ...content, more: expected !== undefined })\n',
    to: '    for (const _ of [1, 2]) if (content !== undefined) inbox.put({ ...content, more: expected !== undefined })\n',
    caught: { profile: 'calm', seed: 1, checker: 'handles' },
  },
  {
    name: 'send every page twice',
    law: 'once',
    file: 'sync/src/senders.ts',
    from: '  send(core, connection, announced)\n',
    to: '  send(core, connection, announced)\n  send(core, connection, announced)\n',
    caught: { profile: 'calm', seed: 1, checker: 'once' },
  },
  {
    name: 'send every answer twice',
    law: 'once',
    file: 'sync/src/senders.ts',
    from: '  send(core, connection, announced)\n',
    to: '  send(core, connection, announced)\n  if (view.loads && !connection.traits.local) send(core, connection, announced)\n',
    caught: { profile: 'calm', seed: 1, checker: 'once' },
  },
  {
    name: 'give an application the first page only',
    law: 'once',
    file: 'client/src/handle.ts',
    from: '    if (content !== undefined) inbox.put(',
    to: '    if (content?.header !== undefined) inbox.put(',
    caught: { profile: 'calm', seed: 1, checker: 'handles' },
  },
  {
    name: 'take different lengths for a fork',
    law: 'L13',
    file: 'sync/src/forks.ts',
    from: '    const sameCount = known.sessions.get(session) === durable(holding).sessions.get(session)',
    to: '    const sameCount = true',
    caught: { profile: 'flaky', seed: 1, checker: 'convergence' },
  },
  {
    name: 'say "uploaded" before it is confirmed',
    law: 'L3',
    file: 'sync/src/status.ts',
    from: "  if (belief.exact) return covers(belief.confirmed, belief.assumed) ? 'in step' : 'behind'",
    to: "  if (belief !== undefined) return 'in step'",
    caught: { profile: 'calm', seed: 1, checker: 'uploads' },
  },
  {
    name: 'never say of what was erased that it is uploaded',
    law: 'L3',
    file: 'sync/src/views.ts',
    from: '  if (holding.stored?.erased !== undefined && view.assumed !== undefined) {',
    to: '  if (holding.stored === undefined && view.assumed !== undefined) {',
    varied: true,
    caught: { profile: 'calm', seed: 1, checker: 'uploads' },
  },
  {
    name: 'keep what is uploaded in the outbox',
    law: 'L3',
    file: 'client/src/hub.ts',
    from: '      outbox.remove(id)\n',
    to: "      if (id !== 'list') outbox.remove(id)\n",
    caught: { profile: 'calm', seed: 1, checker: 'uploads' },
  },
  {
    name: 'believe that another server has what the last one had',
    law: 'L6',
    file: 'reconciliation/src/comparison.ts',
    from: '  return mark.id === now.id && mark.sequence <= now.sequence',
    to: '  return true',
    caught: { profile: 'losses', seed: 130, checker: 'uploads' },
  },
  {
    name: 'say that it is absent without asking the upstream',
    law: 'L1',
    file: 'sync/src/absence.ts',
    from: 'if (core.upstreams.size > 0 && others.every(',
    to: 'if (core.upstreams.size >= 0 || others.every(',
    caught: { profile: 'calm', seed: 1, checker: 'absence' },
  },
  {
    name: 'forget no holding',
    law: 'L10',
    file: 'sync/src/holdings.ts',
    from: '  else core.holdings.delete(holding.id)\n',
    to: '',
    caught: { profile: 'calm', seed: 1, checker: 'bounds' },
  },
  {
    name: 'acknowledge what came instead of what is held',
    law: 'L3',
    file: 'sync/src/settlement.ts',
    from: '    const have = stored.get(session) ?? 0\n',
    to: '    const have = Math.min(stored.get(session) ?? 0, pending.ends.sessions.get(session) ?? 0)\n',
    caught: { profile: 'flaky', seed: 6, checker: 'shrinking' },
  },
  {
    name: 'repair towards the longest',
    law: 'L12',
    file: 'reconciliation/src/layers/repair.ts',
    from: '  if (!isBehind(core, id, layer)) return clearIfWhole(core, id, layer)',
    to: `  const long = (one: Layer) => count(stateIn({ core, id } as Run, one)?.known ?? NOTHING)
  if (readers(core).every((one) => long(one) <= long(layer))) return clearDirty(core, layer, id)
  if (!isBehind(core, id, layer)) return clearIfWhole(core, id, layer)`,
    server: { disks: 2, policy: 'any-durable' },
    caught: { profile: 'disks', seed: 166, checker: 'layers' },
  },
  {
    name: 'a repair that stops at the first layer',
    law: 'L12',
    file: 'reconciliation/src/layers/repair.ts',
    from: 'tried.map((layer) => repairLayer(core, id, layer))',
    to: 'tried.slice(0, 1).map((layer) => repairLayer(core, id, layer))',
    server: { disks: 2, policy: 'any-durable' },
    caught: { profile: 'disks', seed: 11, checker: 'layers' },
  },
  {
    name: 'a quorum that counts one vote too few',
    law: 'L3',
    file: 'reconciliation/src/layers/core.ts',
    from: "  return core.policy === 'any-durable' ? 1 : core.policy.quorum\n",
    to: "  return core.policy === 'any-durable' ? 1 : core.policy.quorum - 1\n",
    server: { disks: 3, policy: { quorum: 2 } },
    caught: { profile: 'disks', seed: 1, checker: 'durability' },
  },
  {
    name: 'all required, and one vote too few',
    law: 'L3',
    file: 'reconciliation/src/layers/core.ts',
    from: "  if (core.policy === 'all-required') return voting\n",
    to: "  if (core.policy === 'all-required') return voting - 1\n",
    server: { disks: 2, policy: 'all-required' },
    caught: { profile: 'disks', seed: 1, checker: 'durability' },
  },
  {
    name: 'tell who may only write of what others wrote',
    law: 'L14',
    file: 'sync/src/claims.ts',
    from: '  if (view === undefined || view === IN_STEP || view.readable) return known\n',
    to: '  if (view !== null) return known\n',
    varied: true,
    caught: { profile: 'calm', seed: 1, checker: 'secrecy' },
  },
  {
    name: 'promise more than the disk does',
    law: 'L3',
    file: 'sync/src/run.ts',
    from: "level: opened.level === 'memory' ? 'stored' : opened.level }",
    to: "level: 'durable' }",
    varied: true,
    caught: { profile: 'calm', seed: 2, checker: 'durability' },
  },
  {
    name: 'take what is stored for what is durable',
    law: 'L3',
    file: 'client/src/uploads.ts',
    from: "const promised = level === undefined || comparison.level() === 'durable' || comparison.level() === level",
    to: 'const promised = true',
    varied: true,
    caught: { profile: 'calm', seed: 31, checker: 'uploads' },
  },
  {
    name: 'never tell the application that its write is refused',
    law: 'L3',
    file: 'client/src/writes.ts',
    from: '    for (const entry of lost) entry.reject(error)\n',
    to: '',
    caught: { profile: 'disks', seed: 2, checker: 'writes' },
  },
]
