import Collectives
import Testing

@Suite struct CollectiveHeaderTests {
    @Test func aHeaderSurvivesItsBytes() {
        let header = CollectiveHeader(
            sequence: 1 << 40, operation: .allToAll, root: -1, count: 1 << 33, phase: "step 12")
        let bytes = header.encoded
        #expect(bytes.count == CollectiveHeader.byteCount)
        #expect(bytes.withUnsafeBytes { CollectiveHeader(decoding: $0) } == header)
    }

    @Test func aLongPhaseIsCut() {
        let header = CollectiveHeader(
            sequence: 1, operation: .barrier, root: -1, count: 0, phase: String(repeating: "x", count: 100))
        #expect(header.encoded.withUnsafeBytes { CollectiveHeader(decoding: $0) } == header)
        #expect(header.phase.count == CollectiveHeader.phaseBytes)
    }
}
