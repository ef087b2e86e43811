import Fuzzing
import FuzzMemory
import Glibc
import Tensors

// kedge-fuzz list                          the names of the parsers
// kedge-fuzz seeds PARSER FOLDER           writes the inputs that all others derive from
// kedge-fuzz run PARSER [libFuzzer's own]  fuzzes, or repeats one input if given a file
//
// Use scripts/fuzz instead of calling this directly.

/// The state of libFuzzer's callbacks; the driver has one thread.
private struct Session {
    let parser: FuzzedParser
    let seeds: [[UInt8]]
    var inputs = 0
    var accepted = 0
    var peakBytes = 0
}

nonisolated(unsafe) private var session: Session?

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ input: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@_silgen_name("LLVMFuzzerMutate")
private func changeByCoverage(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int) -> Int

/// Called by libFuzzer for an input derived from another; half of them are its own changes, with corrected checksums.
@_cdecl("LLVMFuzzerCustomMutator")
func changeInput(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int, _ seed: UInt32) -> Int {
    guard let session else { return size }
    var source = MutationSource(seed: UInt64(seed), parser: session.parser, seeds: session.seeds)
    var bytes: [UInt8]
    if source.generator.chance(0.5) {
        let count = changeByCoverage(data, size, limit)
        bytes = Array(UnsafeBufferPointer(start: data, count: count))
        if source.generator.chance(0.5) { bytes = session.parser.sealed(bytes) }
    } else {
        // libFuzzer's inputs are mostly refused; valid ones are mixed in repeatedly.
        let isAnew = source.generator.chance(0.3) && !session.seeds.isEmpty
        let base =
            isAnew
            ? session.seeds[source.generator.index(below: session.seeds.count)]
            : Array(UnsafeBufferPointer(start: data, count: size))
        bytes = session.parser.mutated(base, &source)
    }
    let count = min(bytes.count, limit)
    bytes.withUnsafeBufferPointer { data.update(from: $0.baseAddress ?? UnsafePointer(data), count: count) }
    return count
}

/// Runs one input; a finding ends the process like a crash.
private func runInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    guard let parser = session?.parser else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    kedge_fuzz_start_input()
    do {
        if try parser.run(bytes) { session?.accepted += 1 }
    } catch {
        fail("\(parser.name): \(error)")
    }
    let peak = kedge_fuzz_peak_bytes()
    if peak > parser.memoryLimit {
        fail("\(parser.name): \(peak) bytes of heap for \(size) bytes of input, the limit is \(parser.memoryLimit)")
    }
    session?.inputs += 1
    let highest = session?.peakBytes ?? 0
    session?.peakBytes = max(highest, peak)
    return 0
}

private func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    write(STDERR_FILENO, line, line.count)
}

private func fail(_ text: String) -> Never {
    say("FINDING: " + text)
    kedge_fuzz_abort()
}

@main
struct Driver {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        let parser = arguments.dropFirst().first.flatMap { name in FuzzedParser.all.first { $0.name == name } }
        switch (arguments.first, parser) {
        case ("list", _): for parser in FuzzedParser.all { print(parser.name) }
        case ("seeds", let parser?) where arguments.count == 3: try writeSeeds(of: parser, to: CommandLine.arguments[3])
        case ("run", let parser?): try run(parser)
        default:
            say("usage: kedge-fuzz list | seeds PARSER FOLDER | run PARSER [options of libFuzzer]")
            exit(64)
        }
    }

    private static func writeSeeds(of parser: FuzzedParser, to folder: String) throws {
        for (number, bytes) in try parser.seeds().enumerated() {
            guard let file = fopen("\(folder)/seed-\(number)", "w") else { fail("\(folder) cannot be written") }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
    }

    private static func run(_ parser: FuzzedParser) throws {
        session = Session(parser: parser, seeds: try parser.seeds())
        kedge_fuzz_watch_memory()
        atexit {
            Scratch.clear()
            guard let session else { return }
            say("stat::accepted_inputs: \(session.accepted)\nstat::peak_input_bytes: \(session.peakBytes)")
        }
        // libFuzzer keeps the pointers: the words live as long as the process.
        let words = [CommandLine.arguments[0], "-max_len=\(parser.longestInput)"] + CommandLine.arguments.dropFirst(3)
        let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: words.count + 1)
        for (index, word) in words.enumerated() { pointers[index] = strdup(word) }
        pointers[words.count] = nil
        var (count, argumentPointer) = (Int32(words.count), pointers)
        exit(runDriver(&count, &argumentPointer, runInput))
    }
}
