package import Collectives
package import Datasets
import Foundation
package import Imaging
import Kernels
import Machine
import Synchronization
package import Telemetry
package import Tensors
import WeightFiles

/// The anchor's embeddings of the images a node has met, for all its ranks and all epochs.
///
/// The anchor is frozen, so its embedding of a weak view is the same in every epoch. An embedding is identified by a
/// SHA-256 over the base weights' digest, the program, OpenBLAS with the kernels in use, and the pixels of the model's
/// input, which image, mirroring and preprocessing determine; the store therefore returns, bit for bit, what the anchor
/// would compute. When it is full, the store keeps its contents and accepts no more.
package final class AnchorStore: Sendable {
    /// The slots of one image.
    private let flips: [Flip]
    private let file: AnchorFile
    private let shape: Shape
    private let identity: [UInt8]
    /// Why this rank has stopped writing.
    private let fault = Mutex<(reason: String, isTold: Bool)?>(nil)

    /// The properties of a run that a store depends on.
    package struct Run: Sendable {
        /// Images to adapt to.
        package var images: Int
        /// The mirrorings that can occur: all four, or one drawn per image.
        package var mirrorings: WeakAugmentation.Schedule
        /// Shape of an embedding.
        package var embedding: Shape
        /// Digest of the base weights.
        package var baseDigest: String
        /// Digest of the program, which may affect bits.
        package var program: String
        /// Bytes that the node's ranks will still allocate.
        package var reservedBytes: Int

        package init(
            images: Int, mirrorings: WeakAugmentation.Schedule, embedding: Shape, baseDigest: String,
            program: String = "",
            reservedBytes: Int = 0
        ) {
            (self.images, self.mirrorings, self.embedding) = (images, mirrorings, embedding)
            (self.baseDigest, self.program, self.reservedBytes) = (baseDigest, program, reservedBytes)
        }
    }

    private init(_ file: AnchorFile, run: Run) {
        (self.file, shape) = (file, run.embedding)
        flips = Self.flips(run)
        identity = Self.identity(run)
    }

    private static func flips(_ run: Run) -> [Flip] { run.mirrorings == .everyEpoch ? Flip.allCases : [] }

    private static func identity(_ run: Run) -> [UInt8] {
        let blas = "\(BLASEnvironment.configuration) \(BLASEnvironment.coreName)"
        return Array("anchor 2\n\(run.baseDigest)\n\(run.program)\n\(blas)\n\(run.embedding)\n".utf8)
    }

    /// Opens this node's store on all its ranks. Collective; a node that cannot have one runs without.
    ///
    /// - Returns: The store, or nil, and its record for the log.
    package static func open(
        _ settings: AnchorStoreSettings, _ run: Run, temporaryFolder: String, communicator: any Communicator
    ) throws -> (store: AnchorStore?, fact: AnchorStoreFact) {
        guard settings.mode == .on else { return (nil, .none("off")) }
        communicator.phase = "anchor store"
        let folder = settings.folder.isEmpty ? temporaryFolder : settings.folder
        let slots = run.images * max(flips(run).count, 1)
        let digest = SHA256Digest()
        digest.update(identity(run) + Array("\(slots)".utf8))
        let hash = digest.hexadecimal().prefix(16)
        let place = AnchorPlace(
            folder: folder, slots: slots, floats: run.embedding.count, limitGiB: settings.limitGiB,
            reservedBytes: run.reservedBytes, name: settings.keep ? "kedge-anchors-\(geteuid())-\(hash)" : nil)
        var (opened, decision): (AnchorPlace.Opened?, AnchorPlace.Decision) = (nil, .init())
        if communicator.nodeRank == 0 { (opened, decision) = place.prepare() }
        let all = try communicator.allGather(bytes: Array(JSONEncoder().encode(decision))).map {
            try JSONDecoder().decode(AnchorPlace.Decision.self, from: Data($0))
        }
        let nodes = communicator.nodeOfRank
        let own = all[nodes.firstIndex(of: nodes[communicator.rank]) ?? 0]
        if opened == nil, own.fault.isEmpty { opened = place.attach(own) }
        // All ranks have it open now; the file disappears with its last rank, however that ends.
        let attached = try communicator.allGather(bytes: [opened == nil ? 0 : 1])
        if let descriptor = opened?.descriptor { close(descriptor) }
        let store = opened.map { AnchorStore($0.file, run: run) }
        let without = attached.indices.filter { rank in
            attached[rank] == [0] && all[nodes.firstIndex(of: nodes[rank]) ?? 0].fault.isEmpty
        }
        let words =
            line(all, nodes, communicator, slots: slots)
            + (without.isEmpty ? "" : "; ranks \(without) cannot open the store of their node")
        return (
            store,
            AnchorStoreFact(capacity: all[0].limit, wanted: slots, found: all[0].found, description: words)
        )
    }

    /// One line for all nodes; names a node that differs from the first.
    private static func line(
        _ decisions: [AnchorPlace.Decision], _ nodes: [Int], _ communicator: any Communicator, slots: Int
    ) -> String {
        let firsts = nodes.indices.filter { nodes.firstIndex(of: nodes[$0]) == $0 }
        let texts = firsts.map { decisions[$0].text(slots: slots) }
        let others = zip(firsts, texts).dropFirst().filter { $0.1 != texts[0] }
            .map { "; on \(communicator.hostNames[$0.0]) \($0.1)" }
        return texts[0] + others.joined()
    }

    /// The key of a weak view. // [S, S, 3]
    package func key(of weak: Tensor) -> [UInt8] {
        // The bytes are read through a pointer, which does not keep the tensor alive.
        withExtendedLifetime(weak) {
            identity.withUnsafeBytes { name in
                sha256([
                    name, UnsafeRawBufferPointer(start: weak.pointer, count: weak.count * MemoryLayout<Float>.stride),
                ])
            }
        }
    }

    /// The embedding of an image's weak view, if the node has stored it. // [h * w, C]
    package func embedding(image: Int, flip: Flip, key: [UInt8]) -> Tensor? {
        file.read(slot(image, flip), key)?.reshaped(shape)
    }

    /// Stores an embedding while there is space. A rank that cannot write (a full disk) stops trying, which costs only
    /// time.
    package func keep(_ embedding: Tensor, image: Int, flip: Flip, key: [UInt8]) {
        guard fault.withLock({ $0 == nil }) else { return }
        if case .failed(let reason) = file.write(slot(image, flip), key, embedding) {
            fault.withLock { $0 = (reason, false) }
        }
    }

    /// Why this rank has stopped writing; returned once.
    package func takeFault() -> String? {
        fault.withLock { fault in
            guard let found = fault, !found.isTold else { return nil }
            fault?.isTold = true
            return found.reason
        }
    }

    /// Embeddings in the node's store.
    package var count: Int { file.count }

    private func slot(_ image: Int, _ flip: Flip) -> Int {
        image * max(flips.count, 1) + (flips.firstIndex(of: flip) ?? 0)
    }
}
