/**
 * The arguments of `sim/interleavings.ts`: what makes no sense is a sentence, and never a run of nothing that says no more.
 */
import { expect, test } from 'vitest'
import { wantedOf } from '../sim/interleave/arguments.ts'
import { UsageError } from '../sim/options.ts'

const parse = (line: string) => wantedOf(line === '' ? [] : line.split(' '), (operations) => operations * 4)

test('all programs of three operations are played if nothing else is said, each as far as is asked', () => {
  expect(parse('')).toEqual({ operations: 3, statesMax: 200_000, only: undefined, reduced: true })
  expect(parse('--operations 2 --states-max 50 --only 7 --unreduced')).toEqual({
    operations: 2,
    statesMax: 50,
    only: 7,
    reduced: false,
  })
})

test.each([
  [
    '--operations abc',
    /--operations takes how many .*from 1 to 4, but was given "abc": write, for example, --operations 3/,
  ],
  ['--operations 0', /but was given "0"/],
  ['--operations 5', /but was given "5"/],
  ['--states-max -1', /--states-max takes after how many states .*"-1"/],
  ['--states-max 1e3', /"1e3"/],
  ['--only 12', /--only takes the number of a program.*"12"/],
  ['--operations 1 --only 4', /"4"/],
  ['--only', /was given nothing/],
  ['--unreduced=yes', /--unreduced takes nothing, but was given "yes": write --unreduced/],
  ['--reduced', /no option "--reduced": the options are --operations, --states-max, --only, --unreduced/],
  ['3', /only options are expected, but "3" was given/],
])('%s is answered with what was expected, what came and what to do', (line, sentence) => {
  expect(() => parse(line)).toThrow(UsageError)
  expect(() => parse(line)).toThrow(sentence)
})
