import Foundation
public import WeightFiles

extension BaseModel {
    /// Whether weights with this image encoder match the model's architecture.
    ///
    /// The weight contract compares every tensor afterwards; this check names the model that a wrong file belongs to.
    public func fits(_ encoder: EncoderSignature) -> Bool {
        switch (configuration.encoder, encoder) {
        case (.viT(let own), .viT(let found)): own.width == found.width && own.depth == found.depth
        case (.tinyViT(let own), .tinyViT(let kernel)):
            kernel == (own.patchEmbedding == .pointwise ? 1 : 3)
        case (.viT, .tinyViT), (.tinyViT, .viT): false
        }
    }
}

extension ModelCatalog {
    /// The models with published weights whose architecture matches this image encoder.
    public static func published(_ encoder: EncoderSignature) -> [BaseModel] {
        models.filter { $0.weights != nil && $0.fits(encoder) }
    }

    /// The destination folder of `scripts/fetch-weights`: `KEDGE_WEIGHTS_DIR`, or `weights` in the working folder.
    public static var weightsFolder: String {
        let folder = ProcessInfo.processInfo.environment["KEDGE_WEIGHTS_DIR"] ?? ""
        return folder.isEmpty ? "weights" : folder
    }
}

extension PublishedWeights {
    /// The path at which `scripts/fetch-weights` stores the file.
    public var path: String { ModelCatalog.weightsFolder + "/" + file }

    /// The size in words, as in `39 MiB` or `1.2 GiB`.
    public var size: String {
        let mebibytes = Double(bytes) / 1_048_576
        return mebibytes < 1000
            ? "\(Int(mebibytes.rounded())) MiB" : String(format: "%.1f GiB", mebibytes / 1024)
    }
}
