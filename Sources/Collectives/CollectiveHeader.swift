/// The operations a header can announce.
package enum CollectiveOperation: Int32, Sendable {
    case barrier = 1
    case broadcast
    case broadcastBuffer
    case allGather
    case allGatherFloats
    case allToAll
    case reduceSum
    case allMinimum
    case allMaximum
    case nodeMemory
    case publish
    /// The end of MPI; it has no header and appears only in the activity record.
    case finalize
}

/// A rank's announcement before an operation: 64 bytes in the same form for all operations, so that ranks in different
/// operations still meet in one all-gather.
package struct CollectiveHeader: Equatable, Sendable {
    package static let byteCount = 64
    package static let phaseBytes = 40

    package var sequence: Int64
    package var operation: Int32
    package var root: Int32
    package var count: Int64
    /// UTF-8, at most `phaseBytes` bytes.
    package var phase: [UInt8]

    package init(sequence: Int, operation: CollectiveOperation, root: Int, count: Int, phase: String) {
        self.sequence = Int64(sequence)
        self.operation = operation.rawValue
        self.root = Int32(truncatingIfNeeded: root)
        self.count = Int64(count)
        self.phase = Array(phase.utf8.prefix(Self.phaseBytes))
    }

    /// True if two ranks are in the same operation; counts may differ between ranks.
    package func agrees(with other: CollectiveHeader) -> Bool {
        sequence == other.sequence && operation == other.operation && root == other.root && phase == other.phase
    }

    /// The operation in words, for example `broadcast from rank 0 (operation 12, phase "step 3")`.
    package var summary: String {
        let name = CollectiveOperation(rawValue: operation).map { "\($0)" } ?? "unknown operation \(operation)"
        let origin = root >= 0 ? " from rank \(root)" : ""
        let during = phase.isEmpty ? "" : ", phase \"\(String(decoding: phase, as: UTF8.self))\""
        return "\(name)\(origin) (operation \(sequence)\(during))"
    }

    /// The transmitted bytes; the phase is padded with zeros.
    package var encoded: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        bytes.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: sequence.littleEndian, toByteOffset: 0, as: Int64.self)
            raw.storeBytes(of: operation.littleEndian, toByteOffset: 8, as: Int32.self)
            raw.storeBytes(of: root.littleEndian, toByteOffset: 12, as: Int32.self)
            raw.storeBytes(of: count.littleEndian, toByteOffset: 16, as: Int64.self)
            for (index, byte) in phase.enumerated() { raw[24 + index] = byte }
        }
        return bytes
    }

    /// Reads a header from `byteCount` bytes.
    package init(decoding raw: UnsafeRawBufferPointer) {
        sequence = Int64(littleEndian: raw.loadUnaligned(fromByteOffset: 0, as: Int64.self))
        operation = Int32(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: Int32.self))
        root = Int32(littleEndian: raw.loadUnaligned(fromByteOffset: 12, as: Int32.self))
        count = Int64(littleEndian: raw.loadUnaligned(fromByteOffset: 16, as: Int64.self))
        phase = Array(raw[24..<Self.byteCount].prefix { $0 != 0 })
    }
}
