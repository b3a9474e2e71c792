/**
 * Fault profiles: what may go wrong in a world, as plain data. Ranges are in the unit that the name ends with, chances are
 * probabilities (0 to 1) per occasion, and `troubles` are expected numbers per stretch of trouble.
 *
 * Not here: what a fault does (`network.ts`, `disk.ts`, `troubles.ts`).
 */
import type { Range } from './chance.ts'

export interface NetworkFaults {
  /** What a frame takes. Frames of one connection keep their order, those of different ones do not. */
  readonly delayMs: Range
  readonly connectMs: Range
  /** An attempt to connect fails. */
  readonly connectFails: number
  /** A connection is slow: its frames leave one after the other, at this many bytes per millisecond. */
  readonly slow: number
  readonly slowBytesPerMs: number
  /** An end of a connection that was cut does not notice it for that long. */
  readonly halfOpen: number
  readonly halfOpenMs: Range
}

export interface DiskFaults {
  /** A disk answers in the same turn, always. */
  readonly synchronous: number
  readonly delayMs: Range
  /** A call takes long. */
  readonly slow: number
  readonly slowMs: Range
  /** A look-up, read or write fails, and nothing was done. */
  readonly fails: number
  /** A write fails after it was done. */
  readonly failsDone: number
  /** A write of several documents fails after only some of them were written. */
  readonly tears: number
  /** A document does not fit any more. */
  readonly full: number
}

/** Expected numbers per stretch of trouble, whatever its length. */
export interface Troubles {
  /** A connection is cut. */
  readonly cuts: number
  /** A client reaches nobody for a while: what is under way waits, or is lost with its connection. */
  readonly partitions: number
  readonly partitionMs: Range
  /** A process is killed and starts again. */
  readonly crashes: number
  readonly downMs: Range
  /** With the power: what its disk had not synced is lost, where the disk promises less than `durable`. */
  readonly powerLosses: number
  /** A process starts again with an empty disk. */
  readonly wipes: number
  /** A process starts again with an old backup of its disk. */
  readonly restores: number
  /** So does a client, and goes on with the sessions of its last process: two histories of one session, against L13. */
  readonly reuses: number
  /** A disk fails whatever it is asked, is full, or does not answer, for a while. */
  readonly outages: number
  readonly outageMs: Range
  /** A clock jumps. */
  readonly clockJumps: number
  readonly clockJumpMs: Range
}

export interface Faults {
  readonly name: string
  readonly network: NetworkFaults
  readonly disk: DiskFaults
  /** What an answer of the application (authorize, dependenciesOf, verify) takes; most are given at once. */
  readonly hooks: { readonly late: number; readonly lateMs: Range }
  readonly troubles: Troubles
}

const NO_TROUBLES: Troubles = {
  cuts: 0,
  partitions: 0,
  partitionMs: [500, 20_000],
  crashes: 0,
  downMs: [0, 5_000],
  powerLosses: 0,
  wipes: 0,
  restores: 0,
  reuses: 0,
  outages: 0,
  outageMs: [500, 20_000],
  clockJumps: 0,
  clockJumpMs: [-60_000, 60_000],
}

/** Nothing goes wrong, and nothing is instant but some disks. */
export const calm: Faults = {
  name: 'calm',
  network: {
    delayMs: [1, 20],
    connectMs: [1, 30],
    connectFails: 0,
    slow: 0,
    slowBytesPerMs: 5,
    halfOpen: 0,
    halfOpenMs: [1_000, 60_000],
  },
  disk: {
    synchronous: 0.5,
    delayMs: [0, 5],
    slow: 0,
    slowMs: [100, 3_000],
    fails: 0,
    failsDone: 0,
    tears: 0,
    full: 0,
  },
  hooks: { late: 0, lateMs: [1, 50] },
  troubles: NO_TROUBLES,
}

/** A mobile network: connections come and go, some are slow, some are dead without saying so. Disks and processes are fine. */
export const flaky: Faults = {
  ...calm,
  name: 'flaky',
  network: { ...calm.network, delayMs: [1, 300], connectMs: [1, 2_000], connectFails: 0.2, slow: 0.2, halfOpen: 0.2 },
  hooks: { late: 0.2, lateMs: [1, 50] },
  troubles: { ...NO_TROUBLES, cuts: 6, partitions: 2 },
}

/** Disks that are slow, fail, tear and fill up, under processes that crash; the network is fine. */
export const disks: Faults = {
  ...calm,
  name: 'disks',
  disk: {
    ...calm.disk,
    synchronous: 0.3,
    delayMs: [0, 50],
    slow: 0.05,
    fails: 0.06,
    failsDone: 0.03,
    tears: 0.03,
    full: 0.02,
  },
  troubles: { ...NO_TROUBLES, cuts: 1, crashes: 2, powerLosses: 1, outages: 2 },
}

/** Machines that are replaced: lost disks, old backups, wrong clocks. */
export const losses: Faults = {
  ...calm,
  name: 'losses',
  network: { ...calm.network, delayMs: [1, 100], halfOpen: 0.1 },
  troubles: { ...NO_TROUBLES, cuts: 2, crashes: 1, powerLosses: 1, wipes: 1, restores: 2, reuses: 0.5, clockJumps: 1 },
}

/** Everything at once. */
export const storm: Faults = {
  name: 'storm',
  network: flaky.network,
  disk: disks.disk,
  hooks: flaky.hooks,
  troubles: {
    ...NO_TROUBLES,
    cuts: 5,
    partitions: 1.5,
    crashes: 1.5,
    powerLosses: 0.5,
    wipes: 0.3,
    restores: 0.5,
    reuses: 0.3,
    outages: 1.5,
    clockJumps: 0.5,
  },
}

export const profiles: readonly Faults[] = [calm, flaky, disks, losses, storm]

/** The same world when it heals: only what is there in good times is left. */
export function healed({ name }: Faults): Faults {
  return { ...calm, name: `${name}, healed` }
}

/** The same where no disk loses what was written to it. */
export function withLastingDisks(faults: Faults): Faults {
  return {
    ...faults,
    name: `${faults.name}, lasting disks`,
    troubles: { ...faults.troubles, powerLosses: 0, wipes: 0, restores: 0, reuses: 0 },
  }
}
