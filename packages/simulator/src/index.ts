/**
 * `@tidemark/simulator`: worlds of clients and servers on the real engine, in virtual time, with faults, from a seed.
 */
export { type BindingsOptions, type BindingUnderTest, bindings } from './bindings.ts'
export { type Chance, createChance, type Range } from './chance.ts'
export { type Checker, checkers, type MakeChecker } from './checkers/index.ts'
export type { Application, ClientNode, Run } from './client-node.ts'
export type { Disk } from './disk.ts'
export {
  calm,
  type DiskFaults,
  disks,
  type Faults,
  flaky,
  losses,
  type NetworkFaults,
  profiles,
  storm,
  type Troubles,
  withLastingDisks,
} from './faults.ts'
export type { Fate, Happening } from './happenings.ts'
export { households } from './households.ts'
export type { ServerNode } from './server-node.ts'
export { shrink } from './shrink.ts'
export { type Failure, type Outcome, replay, type Scenario, simulate } from './simulate.ts'
export { trouble } from './troubles.ts'
export { Violation } from './violation.ts'
export { type ClientOptions, createWorld, type ServerOptions, type World, type WorldOptions } from './world.ts'
export type { Writer, WriterOptions } from './writer.ts'
