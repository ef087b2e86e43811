import Fuzzing
import Testing

/// Mutated inputs for every parser, without sanitizers; `scripts/fuzz` runs many more with them.
///
/// A crash ends the test process, and the parser's name is the last that was printed; any other finding names its number,
/// which `FuzzedParser.input` gives back. One after the other, because some parsers take the path of a file.
@Suite(.serialized) struct FuzzingTests {
    @Test(arguments: FuzzedParser.all.map(\.name))
    func mutatedInputsAreParsedOrRefused(name: String) throws {
        defer { Scratch.clear() }
        let parser = try #require(FuzzedParser.all.first { $0.name == name })
        let seeds = try parser.seeds()
        #expect(!seeds.isEmpty)
        var accepted = 0
        for number in 0..<5_000 {
            do {
                if try parser.run(parser.input(number, of: seeds)) { accepted += 1 }
            } catch {
                Issue.record("\(name), input \(number): \(error)")
            }
        }
        // Mutations that never get past the first check test nothing, as do those that change nothing.
        #expect((50..<4_900).contains(accepted), "\(accepted) inputs accepted")
    }

    @Test func aNumberGivesTheSameInputAlways() throws {
        let parser = try #require(FuzzedParser.all.first)
        let seeds = try parser.seeds()
        let inputs = (0..<100).map { parser.input($0, of: seeds) }
        #expect(inputs == (0..<100).map { parser.input($0, of: seeds) })
        #expect(Set(inputs).count > 90)
    }

    @Test func soundSeedsAreAccepted() throws {
        defer { Scratch.clear() }
        for parser in FuzzedParser.all {
            let accepted = try parser.seeds().filter { try parser.run($0) }
            #expect(!accepted.isEmpty, "\(parser.name)")
        }
    }
}
